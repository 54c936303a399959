"""Tables of a page, and the texts of their cells."""

from __future__ import annotations

from collections.abc import Sequence

UNKNOWN = "unknown"
NOTHING = "–"

_ALIGNMENT = {"l": ":---", "r": "---:"}


def table(heading: Sequence[str], align: str, rows: Sequence[Sequence[str | int]]) -> str:
    """Return a table of finished cells, empty without rows; ``align`` has ``l`` or ``r`` for each column."""
    line = f"| {' | '.join(['%s'] * len(heading))} |"
    lines = [heading, [_ALIGNMENT[letter] for letter in align], *rows]
    return "\n".join([line % tuple(cells) for cells in lines]) if rows else ""


def figure(value: int | None) -> str:
    """Return the text of a figure."""
    return UNKNOWN if value is None else str(value)
