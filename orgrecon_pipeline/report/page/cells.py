"""Tables of a page, and the texts of their cells."""

from __future__ import annotations

from collections.abc import Sequence

UNKNOWN = "unknown"
NOTHING = "–"

_ALIGNMENT = {"l": ":---", "r": "---:"}


def table(heading: Sequence[str], align: str, rows: Sequence[Sequence[str | int]]) -> str:
    """Return a table of finished cells, empty without rows; ``align`` has ``l`` or ``r`` for each column."""
    line = line_format(len(heading))
    return table_of_lines(heading, align, [line % tuple(cells) for cells in rows])


def table_of_lines(heading: Sequence[str], align: str, lines: Sequence[str]) -> str:
    """Return a table as :func:`table` does, from the lines of its rows; see :func:`line_format`."""
    line = line_format(len(heading))
    first = [line % tuple(heading), line % tuple(_ALIGNMENT[letter] for letter in align)]
    return "\n".join([*first, *lines]) if lines else ""


def line_format(columns: int) -> str:
    """Return the line of a row of a table with ``%s`` in place of each finished cell."""
    return f"| {' | '.join(['%s'] * columns)} |"


def figure(value: int | None) -> str:
    """Return the text of a figure."""
    return UNKNOWN if value is None else str(value)
