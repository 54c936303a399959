"""Types of the fields of a mapping file: what a value must look like, for the loader and for the JSON Schema."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from orgrecon_pipeline.domain.identity import NAME_PATTERN, validate_name

Item = TypeVar("Item")

#: Pattern of the name of an entity, a column or a shard.
IDENTIFIER_PATTERN = "[a-z_][a-z0-9_]{0,62}"
_VARIABLE = "[A-Za-z_][A-Za-z0-9_]*"
_MAX_TITLE = 100


def _identifier(text: str) -> str:
    if not re.fullmatch(IDENTIFIER_PATTERN, text):
        raise ValueError(f"{text[:80]!a} is not an identifier: use at most 63 lower-case letters, digits and _")
    return text


def _sql(text: str) -> str:
    if not (text := text.strip()):
        raise ValueError("is empty: write an SQL expression")
    if "\x00" in text:
        raise ValueError("contains a NUL character: remove it")
    return text


def _environment_variable(text: str) -> str:
    # A DSN written here would end up in the digest, in logs and in version control.
    if not re.fullmatch(_VARIABLE, text):
        raise ValueError("is not the name of an environment variable: write its name, and put the DSN into it")
    return text


def without_repetition(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names; raise ValueError if one of them occurs twice."""
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"names {', '.join(repeated)} twice: remove one")
    return names


def not_empty(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """Return the items; raise ValueError if there are none.

    Unlike ``min_length``, it does not report a list as empty because all of its items are invalid.
    """
    if not items:
        raise ValueError("is empty: name at least one")
    return items


def _title(text: str) -> str:
    if not (text := text.strip()) or len(text) > _MAX_TITLE or not text.isprintable():
        raise ValueError(f"is not a title: write one line of at most {_MAX_TITLE} printable characters")
    return text


def _float(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _not_boolean(value: Any) -> Any:
    return str(value) if isinstance(value, bool) else value  # to Python, True is 1


def text_schema(pattern: str, **more: Any) -> WithJsonSchema:
    """Return the JSON Schema of a text that matches a pattern."""
    return WithJsonSchema({"type": "string", "pattern": pattern, **more})


#: A list of YAML. Strict validation accepts only tuples.
AsTuple = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
AsFloat = BeforeValidator(_float)

FileVersion = Annotated[Literal[1], BeforeValidator(_not_boolean)]
_DECIDED = {"not": {"pattern": r"^\s*TODO(:|\s*$)"}}  # the loader names the TODOs of a whole file
Identifier = Annotated[str, AfterValidator(_identifier), text_schema(f"^{IDENTIFIER_PATTERN}$")]
Sql = Annotated[str, AfterValidator(_sql), text_schema(r"\S", **_DECIDED)]
EnvironmentVariable = Annotated[
    str, AfterValidator(_environment_variable), text_schema(f"^{_VARIABLE}$", **_DECIDED)]
MigrationName = Annotated[
    str, AfterValidator(validate_name), text_schema(f"^{NAME_PATTERN}$", **{"not": {"pattern": "__"}})]
Title = Annotated[str, AfterValidator(_title), text_schema(r"\S", **_DECIDED)]

Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False), AsFloat]
PositiveSeconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False), AsFloat]
