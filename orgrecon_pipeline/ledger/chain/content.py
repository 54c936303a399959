"""The rows that a link covers, read back from the database and hashed in a fixed order.

The same statements serve the append and the verification, so that both hash what is really stored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import date, datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Select, Table, select

from orgrecon_pipeline.domain.canonical import canonical_json
from orgrecon_pipeline.domain.chain import Part
from orgrecon_pipeline.domain.record import instant_text
from orgrecon_pipeline.ledger import tables

_CHUNK = 10_000  # rows

# The numbers that join rows are not evidence: a copy of a ledger may have other numbers.
_NUMBERS = ("number", "observation", "redaction")

# Columns of an observation that can name a tenant. They are a part of their own, so that no redaction can change the
# others; what is left of ``compared`` without the names is such a part, too.
_TEXTS = [column for column in tables.observation.columns if column.info == tables.PERSONAL]

#: Parts that a redaction may change.
REDACTABLE = frozenset({"texts", "tenants", "samples", "keys", "change", "coverage", "ready_tenants", "acknowledgement",
                        "shard_result", "reason"})

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
    table = tables.observation
    own = table.c.number == number
    return {
        "observation": _part(connection, _columns(table, without=_TEXTS).where(own)),
        "compared": _rows_part([_without_names(text)] for text in connection.scalars(
            select(table.c.compared).where(own))),
        "texts": _part(connection, select(*_TEXTS).where(own)), **{
        name: _part(connection, _columns(table).where(table.c.observation == number).order_by(
            *(table.c[column] for column in order)))
        for name, (table, order) in _PARTS.items()}}


def _without_names(compared: str) -> str:
    """Return how a comparison was made, with the number of names instead of each list of names, as canonical JSON."""
    try:
        value: dict[str, Any] = json.loads(compared)
        facts = value.get("coverage")
        if isinstance(facts, dict):
            value["coverage"] = {name: len(fact) if isinstance(fact, list) else fact for name, fact in facts.items()}
        text = canonical_json(value)
        text.encode("utf-8")
    except (ValueError, AttributeError):
        return compared  # somebody edited it, which its digest shows
    return text


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
    return select(*(column for column in table.columns if column.name not in left_out))


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
