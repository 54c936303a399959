"""Validation of documents by the published schemas, at least as strictly as a program outside would."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
