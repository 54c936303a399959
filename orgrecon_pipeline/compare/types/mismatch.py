"""Columns that have several types in the mapping, with the conversion that makes them comparable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orgrecon_pipeline.compare.queries.column_type import ColumnType
from orgrecon_pipeline.compare.types.lossless import EXPRESSION, common_conversion
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.reasons import ReasonCode, counted

#: Where a column is mapped, such as ``units.source``, and its type there.
TypeAt = tuple[str, ColumnType]

# Columns that a message explains.
_EXPLAINED = 4


def require_same_types(columns: Iterable[tuple[str, Sequence[TypeAt]]]) -> None:
    """Raise CannotDecide with advice on every column that has several types, given as its name and its types."""
    mismatches = [mismatch for name, types in columns if (mismatch := _mismatch(name, types))]
    if mismatches:
        sentences = mismatches[:_EXPLAINED]
        if more := len(mismatches) - len(sentences):
            sentences.append(f"{counted(more, 'more column')} of different types")
        raise CannotDecide("; ".join(sentences), ReasonCode.TYPE_MISMATCH)


def _mismatch(name: str, types: Sequence[TypeAt]) -> str:
    """Return a sentence about the first two types that differ; an empty one if all are the same."""
    (where, kind), *others = types
    for other, other_kind in others:
        if other_kind.name != kind.name:
            differ = f"{name} is {kind.name} in {where} and {other_kind.name} in {other}"
            return f"{differ}: {_advice((where, kind), (other, other_kind))}"
    return ""


def _advice(first: TypeAt, second: TypeAt) -> str:
    (where, kind), (other, other_kind) = first, second
    conversion = common_conversion(kind, other_kind)
    if conversion is None:
        return ("no cast makes them comparable without a loss; map both to expressions of one type that keep different "
                "values different")
    expressions = {where: conversion.first, other: conversion.second}
    written = {where: expression for where, expression in expressions.items() if expression != EXPRESSION}
    if len(written) > 1 and conversion.first == conversion.second:
        return f"in both, write {conversion.first}{conversion.note}"
    return " and ".join(f"in {where}, write {expression}" for where, expression in written.items()) + conversion.note
