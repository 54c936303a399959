"""The published schemas are up to date, valid, and describe every property."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from orgrecon_pipeline.schemas.generate import DOCUMENTS, path_of, text_of

pytestmark = pytest.mark.parametrize("name", DOCUMENTS)


def properties(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each property of a schema with its path."""
    if isinstance(node, dict):
        for name, part in node.items():
            if name == "properties":
                yield from ((f"{path}.{field}", schema) for field, schema in part.items())
            yield from properties(part, f"{path}.{name}")
    elif isinstance(node, list):
        for number, part in enumerate(node):
            yield from properties(part, f"{path}.{number}")


def test_file_is_what_the_models_give(name: str) -> None:
    assert path_of(name).read_text("ascii") == text_of(name), "run python -m orgrecon_pipeline.schemas.generate"


def test_file_is_a_valid_schema_with_id_and_title(name: str) -> None:
    schema = json.loads(path_of(name).read_text("ascii"))
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:orgrecon:schema:{name}"
    assert schema["title"]
    assert schema["description"]


def test_every_property_has_a_description(name: str) -> None:
    schema = json.loads(path_of(name).read_text("ascii"))
    undescribed = [path for path, part in properties(schema) if not part.get("description")]
    assert undescribed == [], "add Field(description=...) to the models"
