"""Conversions between types of PostgreSQL that lose nothing: different values stay different, and equal ones equal."""

from __future__ import annotations

from dataclasses import dataclass

from orgrecon_pipeline.compare.queries.column_type import ColumnType

#: The expression of the mapping in a piece of advice.
EXPRESSION = "(…)"

# Types that hold text. Values of every type can be converted to text.
_TEXT_TYPES = {"text", "character", "name", '"char"'}
_INTEGERS = ("smallint", "integer", "bigint")

# By type: the types that have all of its values, the narrowest first, and the types to convert to in between. The
# server's own cast of a float to numeric rounds to 6 or 15 digits; the text of a float has all of them.
_WIDER: dict[str, dict[str, tuple[str, ...]]] = {
    "smallint": {"integer": (), "bigint": (), "real": (), "double precision": (), "numeric": (), "money": ("integer",)},
    "integer": {"bigint": (), "double precision": (), "money": (), "numeric": ()},
    "bigint": {"money": (), "numeric": ()},
    "real": {"double precision": (), "numeric": ("text",)},
    "double precision": {"numeric": ("text",)},
    "money": {"numeric": ()},
    "boolean": {"integer": (), **dict.fromkeys(
        ("smallint", "bigint", "real", "double precision", "numeric", "money"), ("integer",))},
    "bit": {"bit varying": (), "integer": (), "bigint": (), "numeric": ("bigint",)},
    "oid": {"bigint": (), "numeric": ("bigint",)},
    "date": {"timestamp without time zone": (), "timestamp with time zone": ()},
    "timestamp without time zone": {"timestamp with time zone": ()},
    "time without time zone": {"time with time zone": (), "interval": ()},
    "cidr": {"inet": ()},
    "macaddr": {"macaddr8": ()},
    "int4range": {"int4multirange": (), "int8range": ("text",), "numrange": ("text",)},
    "int8range": {"int8multirange": (), "numrange": ("text",)},
    "numrange": {"nummultirange": ()},
    "daterange": {"datemultirange": (), "tsrange": ("text",), "tstzrange": ("text",)},
    "tsrange": {"tsmultirange": (), "tstzrange": ("text",)},
    "tstzrange": {"tstzmultirange": ()},
    "int4multirange": {"int8multirange": ("text",), "nummultirange": ("text",)},
    "int8multirange": {"nummultirange": ("text",)},
    "datemultirange": {"tsmultirange": ("text",), "tstzmultirange": ("text",)},
    "tsmultirange": {"tstzmultirange": ("text",)},
    **{f"reg{name}": {"oid": (), "bigint": (), "numeric": ("bigint",)}
       for name in ("class", "collation", "config", "dictionary", "namespace", "oper", "operator", "proc", "procedure",
                    "role", "type")},
}
# Conversions by a function, which only advice on whole values can name.
_FUNCTIONS = {
    ("uuid", "bytea"): f"pg_catalog.uuid_send{EXPRESSION}",
    ("inet", "text"): f"pg_catalog.abbrev{EXPRESSION}",  # a cast adds /32 to the address of a host
}
# The session's time zone is UTC.
_IN_UTC = {"timestamp with time zone", "time with time zone"}
# Integers that are compared as text where nothing else is common: their text has only digits.
_DIGITS = {*_INTEGERS, "oid", "xid", "xid8", "cid"}
# How long the text of a type can be, and how many decimal places it has.
_TEXT_WIDTHS = {"boolean": 5, "smallint": 6, "integer": 11, "bigint": 20, "uuid": 36, '"char"': 4, "name": 63}
_SCALES = {**dict.fromkeys(_INTEGERS, 0), "money": 2}
# Encodings in pg_attribute.atttypmod.
_UNKNOWN, _LENGTH_HEADER, _ALL_FIELDS, _MICROSECONDS = -1, 4, 0x7FFF, 6


@dataclass(frozen=True)
class Conversion:
    """Expressions that convert the values of two types to one type; ``(…)`` stands for the value."""

    first: str
    second: str
    note: str = ""


def common_conversion(first: ColumnType, second: ColumnType) -> Conversion | None:
    """Return how to convert both types to one; None if that would lose something, or make all values different."""
    for name in _common_types(first, second):
        of_first, of_second = _expression(first, name), _expression(second, name)
        if of_first is not None and of_second is not None:
            note = ", which is read as UTC" if name.removesuffix("[]") in _IN_UTC else ""
            return Conversion(of_first, of_second, note)
    if {first.name, second.name} == {"json", "jsonb"}:
        # No cast of json is both: its text keeps what jsonb drops, but equal values can have different texts.
        of_first, of_second = (_cast("jsonb") if kind.name == "json" else EXPRESSION for kind in (first, second))
        return Conversion(
            of_first, of_second, ", which drops spaces, the order of keys and all but the last of repeated keys")
    return None


def keeps_every_value(source: str, target: str, between: str = "") -> bool:
    """Return whether a cast loses nothing, given the names of the types, and of the one in between if there is one."""
    if target in (source, "text"):
        return True
    if target == "character":
        return source not in _TEXT_TYPES  # their blanks at the end would not count any more
    if (source, target) == ("timestamp with time zone", "timestamp without time zone"):
        return True
    steps = _WIDER.get(source, {}).get(target)
    return steps is not None and steps == ((between,) if between else ())


def keeps_every_length(name: str, length: int, before: str, length_before: int) -> bool:
    """Return whether a cast to a length or precision of the same type loses nothing.

    Args:
        name: the type.
        length: as in ``pg_attribute.atttypmod``.
        before: the type from which the value was cast, if it was.
        length_before: the length or precision of the value; -1 if it is not known.
    """
    if length in (_UNKNOWN, length_before):
        return True
    if name in ("text", "character"):
        width = _TEXT_WIDTHS.get(before) if length_before == _UNKNOWN else length_before - _LENGTH_HEADER
        return width is not None and width <= length - _LENGTH_HEADER
    if name == "numeric":
        scale = _SCALES.get(before) if length_before == _UNKNOWN else _scale(length_before)
        return scale is not None and scale <= _scale(length)
    if name == "interval":
        return length >> 16 == _ALL_FIELDS and length & 0xFFFF in (_MICROSECONDS, 0xFFFF)
    if name.startswith("time"):
        return before == "date" or (_MICROSECONDS if length_before == _UNKNOWN else length_before) <= length
    return name == "bit varying" and _UNKNOWN < length_before <= length


def _scale(length: int) -> int:
    return ((length - _LENGTH_HEADER & 0x7FF) ^ 0x400) - 0x400  # eleven bits with a sign


def _common_types(first: ColumnType, second: ColumnType) -> list[str]:
    """Return the types to which both could be converted, the best first: one of the two, then the narrowest."""
    if first.element and second.element:
        return [f"{name}[]" for name in _common_types(first.of_element, second.of_element)]
    names = [second.name, first.name, *(name for name in _WIDER.get(first.name, ()))]
    names = [name for name in names if name not in _TEXT_TYPES]
    return [*names, "text"] if _comparable_as_text(first, second) else names


def _comparable_as_text(first: ColumnType, second: ColumnType) -> bool:
    return (
        not _TEXT_TYPES.isdisjoint((first.name, second.name))
        or {first.name, second.name} <= _DIGITS
        or (first.kind == second.kind and first.kind in ("e", "c")))  # enums, or composite types


def _expression(kind: ColumnType, target: str) -> str | None:
    """Return the expression that converts a type; None if there is none that loses nothing."""
    if kind.name == target:
        return EXPRESSION
    if function := _FUNCTIONS.get((kind.name, target)):
        return function
    source, name, array = (kind.element, target.removesuffix("[]"), "[]") if kind.element else (kind.name, target, "")
    if array and not target.endswith("[]"):
        return _cast(target) if target == "text" else None
    if source == name or name == "text":  # the element of one array may be a domain
        return _cast(target)
    steps = _WIDER.get(source, {}).get(name)
    return None if steps is None else _cast(*(f"{step}{array}" for step in (*steps, name)))


def _cast(*types: str) -> str:
    return EXPRESSION + "".join(f"::{name}" for name in types)
