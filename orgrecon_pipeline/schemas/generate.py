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

from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.schemas.drift_document import DriftDocument
from orgrecon_pipeline.schemas.gate_document import GateDocument

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Document(NamedTuple):
    """A published format: its model or models, and what the schema says about it.

    In the mode ``serialization``, fields with a default are required, because they are always written.
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
    "record": Document(
        Record, "serialization", "Record of orgrecon",
        "The last line of a report, from which the report is rendered. A new field needs a new schema number, except "
        "in compared and in the parameters of reasons."),
    "gate": Document(
        GateDocument, "validation", "Gate answer of orgrecon",
        "What gate --format json prints, and what the exporter answers. Later versions can add fields and codes: "
        "ignore those that you do not know. Only OPEN opens."),
    "drift": Document(
        DriftDocument, "validation", "Drift export of orgrecon",
        "What drift --format json prints, one line of drift --format jsonl, and what diff --format json prints. Later "
        "versions can add fields: ignore those that you do not know."),
}


class _Generator(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False  # it would only repeat the name

    def field_is_required(self, field: Any, total: bool) -> bool:
        always_written = self.mode == "serialization" and field["type"] != "typed-dict-field"
        return always_written or super().field_is_required(field, total)

    # The docstring of a class is written for programmers.

    def model_schema(self, schema: Any) -> dict[str, Any]:
        return _without_description(super().model_schema(schema))

    def typed_dict_schema(self, schema: Any) -> dict[str, Any]:
        return _without_description(super().typed_dict_schema(schema))


def _without_description(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name != "description"}


def generate(name: str) -> dict[str, Any]:
    """Return the JSON Schema of a document."""
    document = DOCUMENTS[name]
    schema = TypeAdapter(document.model).json_schema(mode=document.mode, schema_generator=_Generator)
    for part in _objects(schema):
        if "patternProperties" in part or "properties" in part:
            part.setdefault("additionalProperties", False)
        if name != "mapping" and "properties" in part:
            for described in part["properties"].values():
                described.pop("default", None)  # only a writer of documents needs it
    definitions = {part: _without_description(body) for part, body in schema.pop("$defs", {}).items()}  # of enums
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
