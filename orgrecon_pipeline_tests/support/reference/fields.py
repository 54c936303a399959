"""Reference of the published formats, from their JSON Schemas."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from orgrecon_pipeline.schemas.generate import path_of
from orgrecon_pipeline_tests.support.reference.cells import cell, either, table

_SORTED = ("record", "gate")  # as the canonical JSON of a record
_PLURALS = {"string": "strings", "object": "objects", "date": "dates", "integer": "integers"}


def fields(document: str, part: str = "", prefix: str = "", *, anchors: Mapping[str, str]) -> str:
    """Return the fields of a document, or of a part of it, each with its type and meaning.

    ``prefix`` is written before the name of each field. Types are linked to the blocks in ``anchors``.
    """
    schema = json.loads(path_of(document).read_text("ascii"))
    body = schema["$defs"][part] if part else schema
    linked = {name: f"#{anchor}" for block, anchor in anchors.items()
              if (words := block.split())[:2] == ["fields", document] for name in words[2:3]}
    types = _Types(schema["$defs"], linked)
    order = sorted if document in _SORTED else list
    mapping = document == "mapping"
    rows = []
    for name in order(body["properties"]):
        field = body["properties"][name]
        row = [f"`{prefix}{name}`", types.of(field), cell(field["description"])]
        rows.append([*row, _default(name, body)] if mapping else row)
    return table(("field", "type", "meaning", "default") if mapping else ("field", "type", "meaning"), rows)


def _default(name: str, body: Mapping[str, Any]) -> str:
    if name in body.get("required", ()):
        return "required"
    value = body["properties"][name].get("default")
    if value is None or value == []:
        return "none"
    if isinstance(value, dict):
        return "–"  # its fields have defaults
    return f"`{value}`" if isinstance(value, str) else f"`{value:g}`" if isinstance(value, float) else (
        f"`{json.dumps(value)}`")


class _Types:
    """Names of the types of a schema, with links to the tables of its objects."""

    def __init__(self, definitions: Mapping[str, Any], linked: Mapping[str, str]) -> None:
        self._definitions, self._linked = definitions, linked

    def of(self, field: Mapping[str, Any]) -> str:
        """Return the name of a field's type."""
        if options := field.get("anyOf"):
            return " or ".join(dict.fromkeys(self.of(option) for option in options))
        if name := field.get("$ref", "").rpartition("/")[2]:
            definition = self._definitions[name]
            if "properties" in definition:
                return self._object("object", name)
            return "string" if _names_values(field, definition["enum"]) else either(definition["enum"])
        if field.get("type") == "array":
            return self._list(field.get("items", {}))
        if field.get("type") == "object":
            values = field.get("additionalProperties") or next(iter(field.get("patternProperties", {}).values()), {})
            name = values.get("$ref", "").rpartition("/")[2] if isinstance(values, dict) else ""
            return self._object("object", name)
        if "enum" in field:
            return either(field["enum"])
        if "const" in field:
            return f"`{json.dumps(field['const'])}`"
        return str(field.get("format", field.get("type", "any"))) + _range(field)

    def _object(self, word: str, name: str) -> str:
        return f"[{word}]({self._linked[name]})" if name in self._linked else word

    def _list(self, items: Mapping[str, Any]) -> str:
        name = items.get("$ref", "").rpartition("/")[2]
        if name and "properties" in self._definitions[name]:
            return f"list of {self._object('objects', name)}"
        if name:
            return f"list of {self.of(items)}"
        return f"list of {_PLURALS[items['type']]}" if items.get("type") in _PLURALS else "list"


def _names_values(field: Mapping[str, Any], values: Sequence[str]) -> bool:
    """Return whether the description of a field says which values it can have, or where they are listed."""
    description = field.get("description", "").lower()
    return "(see " in description or sum(value.lower() in description for value in values) > 1


def _range(field: Mapping[str, Any]) -> str:
    low, above, high = field.get("minimum"), field.get("exclusiveMinimum"), field.get("maximum")
    if high is None:
        return ""
    return f" ({low} to {high:,})" if low is not None else f" (above {above}, up to {high:,})"
