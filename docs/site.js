// The search excludes words that begin with a hyphen: search for --require-live as for require-live.
document.addEventListener("input", ({target}) => {
  if (target.matches(".md-search__input")) target.value = target.value.replace(/(^|\s)-+/g, "$1");
});

// site.css shows tables with sentences as lists on a narrow screen, with the name of the column at each cell.
for (const table of document.querySelectorAll(".md-typeset table:not([class])")) {
  const names = [...table.querySelectorAll("th")].map(header => header.textContent);
  const cells = [...table.querySelectorAll("td")];
  if (names.length < 3 || !cells.some(cell => cell.textContent.length > 60)) continue;
  table.dataset.list = "";
  for (const cell of cells) cell.dataset.name = cell.textContent === "–" ? "" : names[cell.cellIndex];
}
