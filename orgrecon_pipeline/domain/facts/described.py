"""Facts: JSON values that the program stores as they are, and that it describes by a TypedDict.

Reports and ledgers can be edited. Whoever reads facts gets values of the described types, or an error that names the
first invalid one. Facts exist only where they apply, and later versions can add some, so unknown ones are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, GetCoreSchemaHandler, TypeAdapter, ValidationError, with_config
from pydantic_core import CoreSchema, core_schema

#: Decorates a TypedDict of facts. JSON values have their types already, so nothing is converted.
facts = with_config(ConfigDict(extra="allow", strict=True))


@dataclass(frozen=True)
class Described:
    """Annotation of a dictionary of facts: it is validated by a TypedDict, and stays as it is."""

    by: type

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(
            _unchanged, handler.generate_schema(self.by), serialization=core_schema.simple_ser_schema("any"))


def _unchanged(value: Any, validate: Any) -> Any:
    validate(value)
    return value


def _day(text: str) -> str:
    if date.fromisoformat(text).isoformat() != text:
        raise ValueError("must be a day as in 2026-01-31")
    return text


# A command builds the validators of only those facts that it reads.
_DEFERRED = ConfigDict(defer_build=True)

#: A UTC day as text.
Day = Annotated[str, AfterValidator(_day), Field(json_schema_extra={"format": "date"})]

#: A SHA-256 in lower-case hexadecimal.
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

#: A number of things.
Count = Annotated[int, Field(ge=0)]


class InvalidFacts(ValueError):
    """Facts are not as described; the message names the first invalid one and what is wrong with it."""


def parser(name: str, described: Any) -> Callable[[str], Any]:
    """Return a function that parses the JSON text of the facts ``name``.

    The function raises InvalidFacts if they are not as described.
    """
    adapter = TypeAdapter(described, config=_DEFERRED)

    def parse(text: str) -> Any:
        try:
            return adapter.validate_json(text, strict=True)
        except ValidationError as error:
            raise InvalidFacts(first_error(error, name)) from None

    return parse


# By pydantic's error type.
_PROBLEMS = {"missing": "is missing", "extra_forbidden": "is not a field of a record", "enum": "is no known value",
             "json_invalid": "is not JSON"}


def first_error(error: ValidationError, *within: str) -> str:
    """Return the path of the first invalid fact and what is wrong with it, without its value, which can be anything.

    ``within`` is the beginning of the path.
    """
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ascii(".".join(map(str, (*within, *first["loc"]))))[1:121].rstrip("'")
    problem = first["msg"].replace("Input should be", "must be").replace("Value error, ", "")
    return f"{where} {_PROBLEMS.get(first['type'], problem)[:120]}"
