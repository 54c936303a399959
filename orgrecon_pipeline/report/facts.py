"""How a comparison was made, as rows of path and value: new facts of the record appear by themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from orgrecon_pipeline.report.markdown import code


def fact_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """One row per value, sorted by path (``scan.settle_seconds``); both cells are finished Markdown."""
    leaves = sorted(_leaves((), facts), key=lambda leaf: leaf[0])
    return [(code(".".join(path)), _shown(value)) for path, value in leaves]


def _leaves(path: tuple[str, ...], value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every scalar, and every list of scalars, with the keys that lead to it."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _leaves((*path, str(name)), inner)
    elif isinstance(value, (list, tuple)) and any(isinstance(item, (Mapping, list, tuple)) for item in value):
        for number, item in enumerate(value, start=1):
            yield from _leaves((*path, str(number)), item)
    elif path:
        yield path, value


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return code(value)
    if isinstance(value, (list, tuple, Mapping)):
        return ", ".join(_shown(item) for item in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return json.dumps(value)
