"""The facts about a comparison as table rows of path and value. New facts of a record appear without a change here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from orgrecon_pipeline.report.page.markdown import code

_SHARDS = "shards"


def fact_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return one row per value, sorted by path (such as ``scan.settle_seconds``); the cells are finished Markdown."""
    rows = [(path, _cell(value)) for path, value in _leaves((), {k: v for k, v in facts.items() if k != _SHARDS})]
    rows += _shard_rows(facts.get(_SHARDS, {}))
    return [(code(".".join(path)), cell) for path, cell in sorted(rows)]


def _shard_rows(shards: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield only one row per shard and one per database of it, because there can be a thousand shards."""
    for name, shard in shards.items():
        own = {key: value for key, value in shard.items() if not isinstance(value, Mapping)}
        databases = {key: value for key, value in shard.items() if isinstance(value, Mapping)}
        if databases.get("source") == databases.get("target"):
            databases = {"source and target" if key == "source" else key: value
                         for key, value in databases.items() if key != "target"}
        of_databases = (((_SHARDS, name, key), value) for key, value in databases.items())
        for path, facts in (((_SHARDS, name), own), *of_databases):
            leaves = sorted((".".join(leaf), _cell(value)) for leaf, value in _leaves((), facts))
            if leaves:
                yield path, ", ".join(f"{code(leaf)} {value}" for leaf, value in leaves)


def _leaves(path: tuple[str, ...], value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every scalar and every list of scalars, with the keys that lead to it."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _leaves((*path, str(name)), inner)
    elif isinstance(value, (list, tuple)) and any(isinstance(item, (Mapping, list, tuple)) for item in value):
        for number, item in enumerate(value, start=1):
            yield from _leaves((*path, str(number)), item)
    elif path:
        yield path, value


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return code(value)
    if isinstance(value, (list, tuple, Mapping)):
        return ", ".join(_cell(item) for item in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return json.dumps(value)
