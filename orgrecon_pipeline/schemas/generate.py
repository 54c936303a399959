"""Generate the published JSON Schemas from the models: ``python -m orgrecon_pipeline.schemas.generate``.

The schemas are files of the package, so that ``orgrecon schema`` need not build the models. A test compares them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from orgrecon_pipeline.domain.mapping import MappingConfig

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Document(NamedTuple):
    """A published format: its model or models, and what the schema says about it.

    A document that is read has optional fields; one that is written always has all of them.
    """

    model: Any
    mode: Literal["validation", "serialization"]
    title: str
    description: str


DOCUMENTS = {
    "mapping": Document(
        MappingConfig, "validation", "Mapping of orgrecon",
        "Which tables are compared, by which keys and columns, and how the gate decides. A schema cannot check "
        "everything: orgrecon doctor does."),
}


class _Generator(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False  # it would only repeat the name


def generate(name: str) -> dict[str, Any]:
    """Return the JSON Schema of a document."""
    document = DOCUMENTS[name]
    schema = TypeAdapter(document.model).json_schema(mode=document.mode, schema_generator=_Generator)
    for part in _objects(schema):
        if part.get("title"):
            part.pop("description", None)  # the docstring of a class is written for programmers
        if "patternProperties" in part:
            part["additionalProperties"] = False
    definitions = schema.pop("$defs", {})
    return {"$schema": DIALECT, "$id": f"urn:orgrecon:schema:{name}", **schema,
            "title": document.title, "description": document.description, "$defs": definitions}


def text_of(name: str) -> str:
    """Return the file of a document's schema. It is ASCII, so that it can be printed in every locale."""
    return json.dumps(generate(name), indent=2) + "\n"


def path_of(name: str) -> Path:
    """Return the path of a document's schema in the package."""
    return Path(__file__).with_name(f"{name}.schema.json")


def _objects(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in list(node.values()):
            yield from _objects(value)
    elif isinstance(node, list):
        for value in node:
            yield from _objects(value)


if __name__ == "__main__":
    for name in DOCUMENTS:
        path_of(name).write_text(text_of(name), encoding="ascii")
