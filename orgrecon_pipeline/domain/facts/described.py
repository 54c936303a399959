"""Facts: JSON values that the program stores as they are, and that it describes by a TypedDict.

Reports and ledgers can be edited. A reader gets values of the described types, or an error that names the first
invalid one. Facts exist only where they apply, and later versions can add some, so unknown ones are kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    TypeAdapter,
    ValidationError,
    WrapValidator,
    with_config,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from orgrecon_pipeline.domain.identity import LEDGER_ID

#: Decorates a TypedDict of facts. JSON values have their types already, so nothing is converted.
facts = with_config(ConfigDict(extra="allow", strict=True))


@dataclass(frozen=True)
class Described:
    """Annotation of a dictionary of facts. A TypedDict validates the dictionary and does not change it."""

    by: type

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(
            _unchanged, handler.generate_schema(self.by), serialization=core_schema.simple_ser_schema("any"))


def _unchanged(value: Any, validate: Any) -> Any:
    validate(value)
    for path in _not_finite(value):
        raise ValidationError.from_exception_data("facts", [{"type": "finite_number", "loc": path, "input": None}])
    return value


def _not_finite(value: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of each NaN and infinity, also within facts that are not described."""
    if isinstance(value, float):
        if not math.isfinite(value):
            yield path
    elif isinstance(value, (dict, list)):
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _not_finite(item, *path, name)


def _day(text: str) -> str:
    try:
        if date.fromisoformat(text).isoformat() == text:
            return text
    except ValueError:  # its message quotes the text
        pass
    raise PydanticCustomError("day", _A_DAY)


def _integer_or_string(value: Any, validate: Any) -> Any:
    try:
        return validate(value)
    except ValidationError:  # its path would name the alternatives
        raise PydanticCustomError("integer_or_string", "must be an integer or a string") from None


_A_DAY = "must be a day as in 2026-01-31"

# A command builds the validators of only those facts that it reads.
_DEFERRED = ConfigDict(defer_build=True)

#: A UTC day as text.
Day = Annotated[str, AfterValidator(_day), Field(json_schema_extra={"format": "date"})]

#: A SHA-256 in lower-case hexadecimal.
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

#: A setting of the mapping.
Setting = Annotated[int | str, WrapValidator(_integer_or_string)]

#: A number of things.
Count = Annotated[int, Field(ge=0)]


class InvalidFacts(ValueError):
    """Facts are not as described; the message names the first invalid one and what is wrong with it."""


def parser(name: str, described: Any) -> Callable[[object, str], Any]:
    """Return a function that parses the JSON text of the facts ``name`` of a day, or of something else.

    The function raises InvalidFacts if they are not as described.
    """
    adapter = TypeAdapter(described, config=_DEFERRED)

    def parse(of: object, text: str) -> Any:
        try:
            return adapter.validate_json(text, strict=True)
        except ValidationError as error:
            raise InvalidFacts(first_error(error, f"{of}: {name}")) from None

    return parse


# By pydantic's error type.
_PROBLEMS = {
    "missing": "is missing", "enum": "is no known value", "literal_error": "must be {expected}",
    "extra_forbidden": "is an unknown field", "unknown_field": "is an unknown field",
    "json_invalid": "is not JSON", "finite_number": "must be a finite number", "string_type": "must be a string",
    "bool_type": "must be true or false", "none_required": "must be null",
    "string_pattern_mismatch": "must be {pattern}", "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}", "too_short": "has too few items: at least {min_length}",
    "too_long": "has too many items: at most {max_length}", "value_error": "{error}",
    **dict.fromkeys(("list_type", "tuple_type"), "must be a list"),
    **dict.fromkeys(("dict_type", "model_type"), "must be an object"),
    **dict.fromkeys(("int_type", "int_from_float", "int_parsing_size"), "must be an integer"),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    **dict.fromkeys(("date_type", "date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"), _A_DAY),
}

_EXPECTED = {"True": "true", "^[0-9a-f]{64}$": "a SHA-256 in hexadecimal", f"^{LEDGER_ID}$": "16 hexadecimal digits"}


def first_error(error: ValidationError, *within: str) -> str:
    """Return the path of the first invalid fact and what is wrong with it, without its value, which can be anything.

    ``within`` is the beginning of the path.
    """
    first = error.errors(include_url=False, include_input=False)[0]
    kind, context = first["type"], {name: _EXPECTED.get(str(of), of) for name, of in first.get("ctx", {}).items()}
    where = ascii(".".join(map(str, (*within, *first["loc"], *context.get("at", ())))))[1:-1][:120]
    problem = _PROBLEMS[kind].format(**context) if kind in _PROBLEMS else first["msg"].replace("Input should", "must")
    # Our own errors are sentences with a subject.
    return f"{where}{': ' if kind == 'value_error' else ' '}{problem[:120]}"
