"""The rows that a link covers, read back from the database and hashed in a fixed order.

The same statements serve the append and the verification, so that both hash what is really stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Select, Table, select

from orgrecon_pipeline.domain.canonical import canonical_json
from orgrecon_pipeline.domain.chain import Part
from orgrecon_pipeline.domain.record import instant_text
from orgrecon_pipeline.ledger import tables

_CHUNK = 10_000  # rows

# The numbers that join rows are not evidence: a copy of a ledger may have other numbers.
_NUMBERS = ("number", "observation")

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


def observation_content(connection: Connection, number: int) -> dict[str, Part]:
    """Return the parts of an observation, by name."""
    row = _columns(tables.observation).where(tables.observation.c.number == number)
    return {"observation": _part(connection, row), **{
        name: _part(connection, _columns(table).where(table.c.observation == number).order_by(
            *(table.c[column] for column in order)))
        for name, (table, order) in _PARTS.items()}}


def acknowledgement_content(connection: Connection, number: int) -> dict[str, Part]:
    """Return the part of an acknowledgement."""
    table = tables.acknowledgement
    return {"acknowledgement": _part(connection, _columns(table).where(table.c.number == number))}


def shard_content(connection: Connection, number: int, shard: str) -> dict[str, Part]:
    """Return the part of a shard's result, which belongs to the observation with this number."""
    table = tables.shard_result
    return {"shard_result": _part(
        connection, _columns(table).where(table.c.observation == number, table.c.shard == shard))}


def ready_tenants_content(connection: Connection, number: int, evidence: str) -> dict[str, Part]:
    """Return the part of tenant gates, which belong to the observation with this number."""
    table = tables.ready_tenants
    return {"ready_tenants": _part(
        connection, _columns(table).where(table.c.observation == number, table.c.evidence == evidence))}


def _columns(table: Table) -> Select[Any]:
    return select(*(column for column in table.columns if column.name not in _NUMBERS))


def _part(connection: Connection, statement: Select[Any]) -> Part:
    """Return the number and digest of the rows of a statement, without holding all rows in memory."""
    digest, rows = hashlib.sha256(b"["), 0
    with connection.execute(statement, execution_options={"yield_per": _CHUNK}) as result:
        for chunk in result.partitions():
            digest.update(b"," if rows else b"")
            digest.update(_array(chunk)[1:-1])
            rows += len(chunk)
    digest.update(b"]")
    return Part(rows=rows, sha256=digest.hexdigest())


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
