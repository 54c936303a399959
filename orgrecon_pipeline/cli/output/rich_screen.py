"""Terminal that shows text with Rich."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import text as rich_text
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table

from orgrecon_pipeline.cli.output.screen import Text

_LOG_WIDTH = 100_000
_LONGEST_WORD = 8  # letters of a header in a narrow table
_NARROWEST_TABLE = 60  # columns of a terminal


class RichScreen:
    """A terminal, or a log that shows colours. A log is so wide that no line is broken."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._framed = is_terminal(console)
        if not self._framed:
            console.width = _LOG_WIDTH

    def print(self, text: Text, *, soft_wrap: bool = False) -> None:
        """Print a text; see :class:`Screen`."""
        self._console.print(_styled(text), soft_wrap=soft_wrap)

    def print_table(self, title: str, headers: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
        """Print a table; see :class:`Screen`.

        If it is too wide, its headers are broken, its padding goes, and columns are folded between words; the first one
        also within a word. If it is still too wide, or on a very narrow terminal, each row becomes a paragraph. A table
        without headers is only folded.
        """
        console = self._console
        if not title:
            console.print(_table(rows, [""] * max(map(len, rows), default=0), box=None, show_header=False))
            return
        table = _table(rows, headers, title=rich_text.Text(title, "table.title"), title_justify="left",
                       box=SIMPLE_HEAD if self._framed else None)
        unlimited = console.options.update(width=_LOG_WIDTH)
        if console.measure(table, options=unlimited).maximum > console.width:
            if console.width < _NARROWEST_TABLE:
                self._print_paragraphs(title, headers, rows)
                return
            table.padding = (0, 0)
            table.show_edge = False
            headers_in_two_lines = list(map(_in_two_lines, headers))
            columns = list(zip(headers_in_two_lines, *(map(str, row) for row in rows), strict=True))
            if not (widths := _fitting_widths(columns, console.width)):
                self._print_paragraphs(title, headers, rows)
                return
            for column, header, width in zip(table.columns, headers_in_two_lines, widths, strict=True):
                column.header, column.width = header, width
        console.print(table)

    def print_box(self, text: Text, colour: str, title: str = "") -> None:
        """Print a text in a frame, without the frame in a log; see :class:`Screen`."""
        if self._framed:
            heading = rich_text.Text(title) if title else None
            self._console.print(Panel(_styled(text), title=heading, border_style=colour, title_align="left"))
            return
        if title:
            self.print(Text(title))
        self.print(text)

    def _print_paragraphs(self, title: str, headers: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
        self.print(Text(title, "italic"))
        for first, *others in rows:
            self._console.print(_styled(first), overflow="fold")
            cells = [rich_text.Text.assemble(f"{header} ", _styled(cell))
                     for header, cell in zip(headers[1:], others, strict=True)]
            self._console.print(Padding(rich_text.Text(", ").join(cells), (0, 0, 0, 2)), overflow="fold")


def is_terminal(console: Console) -> bool:
    """Return whether a console is a terminal: FORCE_COLOR makes one of a pipe or a log, but only for colours."""
    return console.is_terminal and console.file.isatty()


def _table(rows: Sequence[Sequence[str | Text]], headers: Sequence[str], **options: Any) -> Table:
    table = Table(**options)
    for header in headers:
        table.add_column(header, overflow="fold")
    for row in rows:
        table.add_row(*map(_styled, row))
    return table


def _styled(text: str | Text) -> rich_text.Text:
    if isinstance(text, str):
        return rich_text.Text(text)
    styled = rich_text.Text(style=text.style)
    for part, style in text.parts:
        styled.append(part, style or None)
    return styled


def _fitting_widths(columns: Sequence[Sequence[str]], limit: int) -> list[int]:
    """Return widths at which only words of the first column are broken, with a space between columns; none if none fit.

    Rich takes the width from the widest columns, also from those with a single word.
    """
    least = [max(cell_len(word) for cell in column for word in (cell.split() or [""])) for column in columns]
    most = [max(cell_len(line) for cell in column for line in cell.split("\n")) for column in columns]
    least[0] = min(most[0], limit // 2)
    spare = limit - sum(least) - (len(columns) - 1)
    if spare < 0:
        return []
    widths = []
    for narrow, wide in zip(least, most, strict=True):
        widths.append(narrow + min(spare, wide - narrow))
        spare -= widths[-1] - narrow
    return widths


def _in_two_lines(header: str) -> str:
    if " " in header or len(header) <= _LONGEST_WORD:
        return header.replace(" ", "\n", 1)
    middle = len(header) // 2
    return f"{header[:middle]}-\n{header[middle:]}"
