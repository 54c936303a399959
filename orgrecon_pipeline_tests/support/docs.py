"""Helpers for tests of the documentation."""

from __future__ import annotations

import re


def as_description(cell: str) -> str:
    """Return the text of a table's cell as the description in a schema: a sentence without links and code."""
    text = re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", cell).replace("`", "")
    return f"{text[0].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
