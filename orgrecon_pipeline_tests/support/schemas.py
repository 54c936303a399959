"""Validation of documents by the published schemas, at least as strictly as a program outside would."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match

from orgrecon_pipeline.schemas.generate import path_of

_PRINTED_BY = {"report": "record", "gate": "gate", "drift": "drift", "diff": "drift"}
_PREFIX, _SUFFIX = "<!-- orgrecon-record: ", " -->"

# Objects with names of the company's entities and columns, and objects that later versions can extend.
_NAMED = {"entities", "key", "values", "show", "oldest", "reason_parameters", "compared", "counted",
          "mismatched_columns"}


@cache
def published(name: str) -> Draft202012Validator:
    """Return a validator by the published schema of a document."""
    return _validator(json.loads(path_of(name).read_text("ascii")))


@cache
def closed(name: str) -> Draft202012Validator:
    """Return a validator that also refuses undocumented fields where the published schema lets later versions add some.
    """
    schema = deepcopy(published(name).schema)
    _close(schema)
    return _validator(schema)


def require_valid(name: str, document: Any) -> None:
    """Fail if a document that the program made has a field too many, too few, or of another type."""
    error = best_match(closed(name).iter_errors(document))
    assert error is None, f"the schema {name} refuses {error.json_path}: {error.message[:500]}"


@cache
def _facts() -> Draft202012Validator:
    return _validator({"$ref": "#/$defs/Compared", "$defs": closed("record").schema["$defs"]})


def require_known_facts(compared: Any) -> None:
    """Fail if what a comparison stores about itself is not described in the schema of the record."""
    error = best_match(_facts().iter_errors(compared))
    assert error is None, f"the schema record refuses compared{error.json_path[1:]}: {error.message[:500]}"


def record_in(report: str) -> dict[str, Any]:
    """Return the record in the text of a report."""
    line = report.removesuffix("\n").rsplit("\n", 1)[-1]
    assert line.startswith(_PREFIX)
    record: dict[str, Any] = json.loads(line.removeprefix(_PREFIX).removesuffix(_SUFFIX))
    return record


def require_valid_output(arguments: Sequence[str], out: str, directory: Path) -> None:
    """Fail if a command printed or wrote a document that its published schema refuses."""
    if not out.strip():
        return
    command, form = arguments[0], dict(pairwise(arguments)).get("--format", "text")
    if form == "json" and (name := _PRINTED_BY.get(command)):
        require_valid(name, json.loads(out))
    elif form == "jsonl" and command == "drift":
        for line in out.splitlines():
            require_valid("drift", json.loads(line))
    elif command == "report" and (paths := [line for line in out.splitlines() if line.startswith("report: ")]):
        path = directory / paths[-1].removeprefix("report: ")
        require_valid("record", record_in(path.read_text("utf-8")))


def _objects(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Yield the objects with a fixed set of fields, and their paths; of each list only the first."""
    if isinstance(node, dict):
        if path and path[-1] in _NAMED:
            return
        yield path, node
    parts = node.items() if isinstance(node, dict) else enumerate(node[:1]) if isinstance(node, list) else ()
    for name, part in parts:
        yield from _objects(part, (*path, name))


def mutations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a document without each of its fields, with a value of another type in each, and with an unknown field."""

    def mutated(path: tuple[Any, ...], mutate: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        copy = deepcopy(document)
        part: Any = copy
        for name in path:
            part = part[name]
        mutate(part)
        return copy

    for path, part in _objects(document):
        at = ".".join(map(str, path))
        yield f"{at}: unknown field", mutated(path, lambda part: part.update(unknown=1))
        for name in part:
            yield f"{at}.{name}: removed", mutated(path, lambda part, name=name: part.pop(name))
            yield f"{at}.{name}: another type", mutated(path, lambda part, name=name: part.update({name: [{"x": 1.5}]}))


def _validator(schema: Any) -> Draft202012Validator:
    return Draft202012Validator(schema, format_checker=FormatChecker())


def _close(node: Any) -> None:
    if isinstance(node, dict):
        if "properties" in node:
            node["additionalProperties"] = False
        for part in node.values():
            _close(part)
    elif isinstance(node, list):
        for part in node:
            _close(part)
