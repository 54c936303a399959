"""The schema of the mapping accepts what the loader accepts, and refuses what the loader refuses as far as it can."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError
from ruamel.yaml import YAML

from orgrecon_pipeline.config.mapping_file import parse_mapping
from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.schemas.generate import path_of
from orgrecon_pipeline_tests.config.test_mapping_file import BROKEN, DEFAULT

ROOT = Path(__file__).parents[2]
VALIDATOR = Draft202012Validator(json.loads(path_of("mapping").read_text("ascii")))

#: What only the loader refuses: the messages of rules about two fields, and of rules that a schema cannot express.
ONLY_THE_LOADER = re.compile(
    r"columns lacks|is already in the key|is already compared|no relation maps|could never open|of another shard"
    r"|should be a finite number|is not a title")

FULL: dict[str, Any] = {
    "version": 1,
    "migration": {"name": "org-v23", "title": "Org Model v2.3"},
    "tenants": {"from": "public.tenants", "tenant": "id", "where": "active"},
    "entities": {"org_units": {
        "key": ["unit_id"], "compare": ["name"], "show": ["updated_at"],
        "source": [{"from": "a", "columns": {"tenant_id": "t", "unit_id": "u", "name": "n", "updated_at": "c"}}],
        "target": {"from": "b", "columns": {"tenant_id": "t", "unit_id": "u", "name": "n"}, "where": "alive"}}},
    "gate": {"window_days": 7, "same_day": "worst", "min_live_days": 3, "max_departures": 1},
    "scan": {
        "settle_seconds": 0, "rechecks": 2, "statement_timeout_seconds": 1, "lock_timeout_seconds": 0.5,
        "yield_seconds": None, "deadline_seconds": 60, "workers": 1, "shards_at_once": 2,
        "max_replica_lag_seconds": 9, "heartbeat": {"from": "h", "at": "at", "where": "true"}},
    "report": {"breakdown_limit": 1, "sample_keys": 0, "keep_keys": 0, "sample_values": True},
    "shards": [{"name": "eu", "source_env": "EU", "target_env": "EU"},
               {"name": "us", "source_env": "US", "target_env": "US"}],
}
OTHER_VALUES = (
    None, True, -1, 0, 1, 2.5, 10**9, "", " ", "text", "tenant_id", "Not a name", [], ["unit_id"], [3], ["x", "x"], {},
    {"x": "y"}, [{}])


def parts(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each part of a document."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in items:
        yield (*path, name)
        yield from parts(value, (*path, name))


def changed(path: tuple[Any, ...], change: Any) -> dict[str, Any]:
    """Return the full mapping after ``change`` of the container of a part and its name."""
    document = deepcopy(FULL)
    container: Any = document
    for name in path[:-1]:
        container = container[name]
    change(container, path[-1])
    return document


def variants() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the full mapping without each part, with another value of each part, and with an unknown field beside it.
    """
    for path in parts(FULL):
        name = ".".join(map(str, path))
        yield f"without {name}", changed(path, lambda container, part: container.pop(part))
        for value in OTHER_VALUES:
            yield f"{name}: {value!r}", changed(
                path, lambda container, part, value=value: container.__setitem__(part, value))
        if isinstance(path[-1], str):
            yield f"field beside {name}", changed(path, lambda container, part: container.update({f"{part}_": "x"}))


def refusal(document: Any) -> str | None:
    """Return why the loader refuses a document, None if it accepts it."""
    try:
        MappingConfig.model_validate(document)
    except ValidationError as error:
        return str(error)
    return None


@pytest.mark.parametrize("document", [FULL, YAML(typ="safe").load(DEFAULT)], ids=["every field", "packaged default"])
def test_valid_mapping_is_accepted(document: dict[str, Any]) -> None:
    assert refusal(document) is None
    assert [error.message for error in VALIDATOR.iter_errors(document)] == []


def test_changed_mapping_is_accepted_or_refused_by_both() -> None:
    differences, refused = [], 0
    for name, document in variants():
        why, accepted = refusal(document), VALIDATOR.is_valid(document)
        refused += not accepted
        if accepted != (why is None) and not (accepted and why and ONLY_THE_LOADER.search(why)):
            differences.append((name, why))
    assert differences == []
    assert refused > 1_000


@pytest.mark.parametrize("todo", ["TODO", " TODO: which table?", "TODO:\ntwo lines"])
def test_todo_of_a_proposed_mapping_is_refused_by_both(todo: str) -> None:
    for path in parts(FULL):
        document = changed(path, lambda container, part: container.__setitem__(part, todo))
        assert not VALIDATOR.is_valid(document), path
        with pytest.raises(ConfigurationError, match="is still TODO"):
            parse_mapping(json.dumps(document), "orgrecon.yaml")


@pytest.mark.parametrize(("text", "replacement", "line", "message"), [
    case for case in BROKEN if case[3] not in ("found duplicate key", "correct the YAML")])
def test_broken_file_is_refused_unless_only_the_loader_can(
    text: str, replacement: str, line: int, message: str
) -> None:
    broken = YAML(typ="safe").load(DEFAULT.replace(text, replacement, 1))
    why = refusal(broken)
    assert why is not None
    assert not VALIDATOR.is_valid(broken) or ONLY_THE_LOADER.search(why)


def test_mapping_in_the_docs_is_accepted() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/mapping.md").read_text("utf-8"), re.DOTALL)
    files = [loaded for block in blocks if "version" in (loaded := YAML(typ="safe").load(block) or {})]
    assert files
    for loaded in files:
        assert [error.message for error in VALIDATOR.iter_errors(loaded)] == []
