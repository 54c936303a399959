"""Mutations of a JSON document: each of its values replaced by values of every JSON type, or removed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from orgrecon_pipeline.domain.canonical import escaped

#: Values of every JSON type, in forms that a careless reader takes for another one.
REPLACEMENTS: tuple[Any, ...] = (
    None, True, -1, 0, 2.5, 10**18, 10**39, "", "x", [], [None], ["x"], [["x"]], {}, {"x": None}, {"x": {"x": [1]}},
    math.nan, math.inf, {"x": math.inf})

#: Path of a value in a document.
At = tuple[str | int, ...]


def mutations(document: Any) -> Iterator[tuple[str, At]]:
    """Mutate a document, yield what was done and where, and restore it afterwards.

    Of a list, the first two items and the last are mutated.
    """
    yield from _mutations(document, ())


def _mutations(parent: Any, path: At) -> Iterator[tuple[str, At]]:
    if isinstance(parent, list):
        places: list[Any] = sorted({*range(len(parent))[:2], *range(len(parent))[-1:]})
    else:
        places = list(parent) if isinstance(parent, dict) else []
    for place in places:
        at, value = (*path, place), parent[place]
        yield from _mutations(value, at)
        for replacement in REPLACEMENTS:
            if type(replacement) is not type(value) or replacement != value:
                parent[place] = replacement
                yield f"{'.'.join(map(str, at))} = {replacement!r:.40}", at
        if isinstance(parent, dict):
            del parent[place]
            yield f"{'.'.join(map(str, at))} removed", at
        parent[place] = value


def value_at(document: Any, path: At) -> Any:
    """Return the value at a path of a document."""
    for place in path:
        document = document[place]
    return document


def json_text(document: Any) -> str:
    """Return a document as canonical JSON, if it has no NaN or infinity.

    NaN is written as a constant that JSON does not have, and infinity as a number that is too large.
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return escaped(text).replace("Infinity", "1e999")
