"""Texts as SQL, and the files that a repair is made of."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources


def template(name: str) -> str:
    """A file of this package's ``sql`` folder, with ``{places}``."""
    return resources.files("orgrecon_pipeline.repair.sql").joinpath(name).read_text(encoding="utf-8")


def literal(text: str) -> str:
    """A text as an SQL literal."""
    # E'' means the same whatever standard_conforming_strings says, and no line of a name begins a line of the file.
    escaped = text.replace("'", "''").replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"E'{escaped}'"


def array_literal(texts: Iterable[str]) -> str:
    """Texts as an SQL literal of an array, whose type Postgres takes from what it is compared with."""
    elements = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return literal("{" + ",".join(f'"{element}"' for element in elements) + "}")
