"""A report as GitHub's own renderer shows it, reduced to what the tests check."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

import cmarkgfm
from cmarkgfm import cmark

# UNSAFE keeps raw HTML, so that tests notice a name that became HTML. GitHub has FOOTNOTES too.
_OPTIONS = cmark.Options.CMARK_OPT_UNSAFE | cmark.Options.CMARK_OPT_FOOTNOTES
_VOID = {"br", "hr", "img", "input"}


@dataclass
class Page(HTMLParser):
    """Tables (rows of cells of text), elements, and the text in and outside of code."""

    tables: list[list[list[str]]] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)
    plain: str = ""
    in_code: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag == "code":
            self.in_code.append("")
        elif tag in ("h1", "h2", "h3"):
            self.headings.append(f"{tag} ")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "td" in self._open or "th" in self._open:
            self.tables[-1][-1][-1] += data
        if self._open and self._open[-1] in ("h1", "h2", "h3"):
            self.headings[-1] += data
        if "code" in self._open:
            self.in_code[-1] += data
        else:
            self.plain += data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def html(markdown: str) -> str:
    """Return the HTML of GitHub's renderer, with every extension that GitHub enables."""
    extensions = ["table", "autolink", "tagfilter", "strikethrough", "tasklist"]
    return str(cmarkgfm.markdown_to_html_with_extensions(markdown, options=_OPTIONS, extensions=extensions))


def page(markdown: str) -> Page:
    """Render Markdown and reduce the result."""
    reduced = Page()
    reduced.feed(html(markdown))
    reduced.close()
    return reduced
