"""The rows that a link covers, read back from the database and hashed in a fixed order.

The same statements serve the append and the verification, so that both hash what is really stored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import date, datetime
from itertools import islice
from typing import Any

from sqlalchemy import Column, Connection, Date, Select, Table, Text, cast, func, select

from orgrecon_pipeline.domain.canonical import canonical_json
from orgrecon_pipeline.domain.drift.kinds import DriftKind
from orgrecon_pipeline.domain.integrity.chain import Part
from orgrecon_pipeline.domain.record import instant_text
from orgrecon_pipeline.ledger import tables

_CHUNK = 1_000  # rows; of more, Python's garbage collection takes as long as everything else

# The numbers that join rows are not evidence: a copy of a ledger may have other numbers.
_NUMBERS = ("number", "observation", "redaction")

# The suffix of a part that repeats what another one has besides names, so that no redaction can change it.
WITHOUT_NAMES = "_without_names"

#: Parts that a redaction may change.
REDACTABLE = frozenset({"texts", "tenants", "samples", "keys", "change", "coverage", "shard_result", "reason"})

# Rows of an observation: its table, and the columns that order them.
_PARTS: dict[str, tuple[Table, tuple[str, ...]]] = {
    "entities": (tables.entity, ("ordinal",)),
    "tenants": (tables.tenant_row, ("tenant", "entity")),
    "samples": (tables.sample, ("ordinal",)),
    "keys": (tables.key, ("entity", "tenant", "key", "kind")),
    "change": (tables.change, ("observation",)),
    "coverage": (tables.coverage, ("ordinal",)),
    "fingerprints": (tables.fingerprint, ("shard", "ordinal")),
}

# Rows in an order that does not depend on their names.
_ORDERED = {"samples": tables.sample, "coverage": tables.coverage}

# Rows in an order that depends on their names: how many there are of each kind.
_COUNTED: dict[str, tuple[str, ...]] = {
    "tenants": ("entity", *(kind.value for kind in DriftKind)),
    "keys": ("entity", "kind"),
}


def observation_content(connection: Connection, number: int) -> dict[str, Part]:
    """Return the parts of an observation, by name."""
    table = tables.observation
    own = table.c.number == number
    return {
        "observation": _part(connection, _columns(table, without=_personal(table)).where(own)),
        "compared": _json_part(connection, select(table.c.compared).where(own), _without_covered),
        "texts": _part(connection, select(*_personal(table)).where(own)),
        **{name: _part(connection, _columns(table).where(table.c.observation == number).order_by(
            *(table.c[column] for column in order)))
           for name, (table, order) in _PARTS.items()},
        **{name + WITHOUT_NAMES: _part(connection, _columns(table, without=_personal(table)).where(
            table.c.observation == number).order_by(table.c.ordinal)) for name, table in _ORDERED.items()},
        **{name + WITHOUT_NAMES: _part(connection, _counted(_PARTS[name][0], columns, number))
           for name, columns in _COUNTED.items()},
        "change" + WITHOUT_NAMES: _json_part(
            connection, select(tables.change.c.change).where(tables.change.c.observation == number), _without_tenants),
    }


def _counted(table: Table, columns: Iterable[str], number: int) -> Select[Any]:
    kinds = [table.c[column] for column in columns]
    return select(*kinds, func.count()).where(table.c.observation == number).group_by(*kinds).order_by(*kinds)


def _without_covered(compared: Any) -> Any:
    """Return how a comparison was made, with the number of names instead of each list of names."""
    facts = compared.get("coverage")
    return {**compared, "coverage": _without_lists(facts)} if isinstance(facts, dict) else compared


def _without_lists(value: Any) -> Any:
    """Return an object with the length of each list instead of the list."""
    return {name: len(part) if isinstance(part, list) else part for name, part in value.items()}


def _without_tenants(value: Any) -> Any:
    """Return a JSON value without the fields that name a tenant."""
    if isinstance(value, dict):
        return {name: _without_tenants(part) for name, part in value.items()
                if name != "tenant" or not isinstance(part, str)}  # an entity can have this name, too
    return [_without_tenants(part) for part in value] if isinstance(value, list) else value


def acknowledgement_content(connection: Connection, number: int) -> dict[str, Part]:
    """Return the parts of an acknowledgement."""
    table = tables.acknowledgement
    own = table.c.number == number
    return {"acknowledgement": _part(connection, _columns(table, without=_personal(table)).where(own)),
            "details": _json_part(connection, select(table.c.details).where(own), _without_lists),
            "texts": _part(connection, select(*_personal(table)).where(own))}


def shard_content(connection: Connection, number: int, shard: str) -> dict[str, Part]:
    """Return the part of a shard's result, which belongs to the observation with this number."""
    table = tables.shard_result
    return {"shard_result": _part(
        connection, _columns(table).where(table.c.observation == number, table.c.shard == shard))}


def ready_tenants_content(connection: Connection, number: int, evidence: str) -> dict[str, Part]:
    """Return the parts of tenant gates, which belong to the observation with this number."""
    table = tables.ready_tenants
    own = (table.c.observation == number, table.c.evidence == evidence)
    figures = select(table.c.figures).where(*own)
    return {"ready_tenants": _part(connection, _columns(table, without=_personal(table)).where(*own)),
            "figures": _json_part(connection, figures, _without_tenants),
            "texts": _part(connection, figures)}


def redaction_content(connection: Connection, number: int) -> dict[str, Part]:
    """Return the parts of a redaction."""
    table, parts = tables.redaction, tables.redacted_part
    return {
        "redaction": _part(connection, _columns(table, without=[table.c.reason]).where(table.c.number == number)),
        "reason": _part(connection, select(table.c.reason).where(table.c.number == number)),
        "redacted_parts": _part(connection, _columns(parts).where(parts.c.redaction == number).order_by(
            parts.c.position, parts.c.part))}


def _columns(table: Table, without: Iterable[Any] = ()) -> Select[Any]:
    left_out = {*_NUMBERS, *(column.name for column in without)}
    # The databases convert days to text in half the time.
    return select(*(cast(column, Text) if isinstance(column.type, Date) else column
                    for column in table.columns if column.name not in left_out))


def _personal(table: Table) -> list[Column[Any]]:
    return [column for column in table.columns if column.info == tables.PERSONAL]


def _json_part(connection: Connection, statement: Select[Any], without_names: Callable[[Any], Any]) -> Part:
    """Return the number and digest of JSON texts without names."""
    return _rows_part([_canonical(text, without_names)] for text in connection.scalars(statement))


def _canonical(text: str, without_names: Callable[[Any], Any]) -> str:
    try:
        canonical = canonical_json(without_names(json.loads(text)))
        canonical.encode("utf-8")
    except (ValueError, AttributeError, RecursionError):
        return text  # edited, which its digest shows
    return canonical


def _part(connection: Connection, statement: Select[Any]) -> Part:
    with connection.execute(statement, execution_options={"yield_per": _CHUNK}) as result:
        return _rows_part(result)


def _rows_part(rows: Iterable[Any]) -> Part:
    """Return the number and digest of rows, without holding all of them in memory."""
    digest, number, iterator = hashlib.sha256(b"["), 0, iter(rows)
    while chunk := list(islice(iterator, _CHUNK)):
        digest.update(b"," if number else b"")
        digest.update(_array(chunk)[1:-1])
        number += len(chunk)
    digest.update(b"]")
    return Part(rows=number, sha256=digest.hexdigest())


def _array(rows: Iterable[Any]) -> bytes:
    return canonical_json([tuple(row) for row in rows], default=_text).encode("utf-8")


def _text(value: object) -> str | None:
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    raise TypeError(f"{type(value).__name__} is not stored in a ledger")
