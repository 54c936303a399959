"""Compared values of the keys that are shown as samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from orgrecon_pipeline.compare.queries.statements import EntityStatements
from orgrecon_pipeline.domain.canonical import bounded_name
from orgrecon_pipeline.domain.mapping.model import SIDES
from orgrecon_pipeline.postgres.int8_arrays import int8_array
from orgrecon_pipeline.postgres.session import Session

#: Text of source and target, by compared column.
Values = dict[str, tuple["str | None", "str | None"]]


def read_values(
    sessions: Mapping[str, Session], statements: EntityStatements, tenants: Iterable[str], keys: Sequence[int]
) -> dict[int, Values]:
    """Return the values with different texts, by key hash, of the given keys of some tenants.

    Keys that are not read on both sides are left out: a key of some types can have a different hash on each side.
    """
    tenants = sorted(tenants)
    sides: list[dict[int, list[Sequence[str | None]]]] = []
    for side in SIDES:
        session, copies = sessions[side], dict[int, list[Sequence[str | None]]]()
        parameters = {"tenants": session.encoding.expressible(tenants), "tracked_keys": int8_array(keys)}
        for row in session.query(statements.side_values(side), statements.name, parameters):
            copies.setdefault(row["key_hash"], []).append(row["values"])
        sides.append(copies)
    source, target = sides
    return {key: _differing(statements.entity.compare, source[key], target[key]) for key in source.keys() & target}


def _differing(
    names: Sequence[str], source: Sequence[Sequence[str | None]], target: Sequence[Sequence[str | None]]
) -> Values:
    """Return the values with different texts, given all copies of a key on each side."""
    texts = (map(_joined, zip(*copies, strict=True)) for copies in (source, target))
    return {name: (old, new) for name, old, new in zip(names, *texts, strict=True) if old != new}


def _joined(values: Sequence[str | None]) -> str | None:
    """Return the values of one column in all copies of a key, as one text."""
    if values == (None,):
        return None
    return bounded_name(" | ".join(sorted("NULL" if value is None else value for value in values)))
