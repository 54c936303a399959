"""Records agree with their schema: those of the golden reports as they are, and none after a mutation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from orgrecon_pipeline_tests.support.schemas import published, record_in

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.md"))
RECORDS = {path.stem: record_in(path.read_text("utf-8")) for path in GOLDEN}

#: Objects with names of the company's entities, columns, shards and so on, and objects that later versions can extend.
NAMED = {"entities", "key", "values", "show", "oldest", "reason_parameters", "compared"}


def objects(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Yield the objects with a fixed set of fields, and their paths; of each list only the first."""
    if isinstance(node, dict):
        if path and path[-1] in NAMED:
            return
        yield path, node
    parts = node.items() if isinstance(node, dict) else enumerate(node[:1]) if isinstance(node, list) else ()
    for name, part in parts:
        yield from objects(part, (*path, name))


def mutations(record: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the record without each of its fields, with a value of another type in each, and with an unknown field."""

    def mutated(path: tuple[Any, ...], mutate: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        document = deepcopy(record)
        part: Any = document
        for name in path:
            part = part[name]
        mutate(part)
        return document

    for path, part in objects(record):
        at = ".".join(map(str, path))
        yield f"{at}: unknown field", mutated(path, lambda part: part.update(unknown=1))
        for name in part:
            yield f"{at}.{name}: removed", mutated(path, lambda part, name=name: part.pop(name))
            yield f"{at}.{name}: another type", mutated(path, lambda part, name=name: part.update({name: [{"x": 1.5}]}))


@pytest.mark.parametrize("name", RECORDS)
def test_golden_record_agrees_with_its_schema(name: str) -> None:
    assert [error.message for error in published("record").iter_errors(RECORDS[name])] == []


@pytest.mark.parametrize("name", ["baseline", "fail_with_samples", "narrower_mapping"])
def test_mutated_record_is_refused(name: str) -> None:
    validator = published("record")
    assert [mutation for mutation, document in mutations(RECORDS[name]) if validator.is_valid(document)] == []
