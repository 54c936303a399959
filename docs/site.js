// The search excludes words that begin with a hyphen: search for --require-live as for require-live.
document.addEventListener("input", ({target}) => {
  if (target.matches(".md-search__input")) target.value = target.value.replace(/(^|\s)-+/g, "$1");
});
