"""Queries on the drifting keys of a ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, literal, null, select, tuple_

from orgrecon_pipeline.domain.drift.key import KeyState, state_of
from orgrecon_pipeline.domain.drift.kinds import DriftKind
from orgrecon_pipeline.domain.evidence import Observation
from orgrecon_pipeline.ledger import tables
from orgrecon_pipeline.ledger.connection.address import PostgresAddress
from orgrecon_pipeline.ledger.connection.engine import Store
from orgrecon_pipeline.ledger.connection.retry import retried
from orgrecon_pipeline.ledger.statements.stored_facts import parse_columns, parse_key

_CHUNK = 10_000  # rows


@dataclass(frozen=True)
class KeyFilter:
    """Which keys to read; None reads all. ``since`` reads those that were first seen on that day or later."""

    tenant: str | None = None
    entity: str | None = None
    kind: DriftKind | None = None
    state: KeyState | None = None
    column: str | None = None
    since: date | None = None


class StoredKey(NamedTuple):
    """One kind of drift of one key. ``first_seen`` and ``state`` are None if they are unknown."""

    tenant: str
    entity: str
    kind: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    state: KeyState | None
    first_seen: date | None


class KeyReader(Store):
    """The methods of a ledger that read drifting keys."""

    def keys(self, observation: Observation, wanted: KeyFilter | None = None) -> Iterator[StoredKey]:
        """Yield the keys of a decided comparison, by entity, tenant and key; healed ones if they are ``wanted``.

        Healed keys are those of the previous decided day, with their kinds of that day. The keys are a stream: it
        is not retried if the ledger stops answering.
        """
        wanted = wanted or KeyFilter()
        healed = wanted.state is KeyState.HEALED
        if healed and (observation.change is None or observation.change.observation is None):
            return
        key = tables.key.alias() if healed else tables.key
        day = observation.change.since if healed and observation.change else observation.day
        statement = self._keys(key, observation, wanted, healed=healed)
        with self.reading() as connection:
            if isinstance(self.address, PostgresAddress):
                # Without current statistics, the planner would scan the keys once for each other key.
                connection.exec_driver_sql("SET LOCAL enable_nestloop = off")
            rows = connection.execution_options(stream_results=True, yield_per=_CHUNK).execute(statement)
            for row in rows:
                columns = tuple(parse_columns(day, row.differing_columns)) if row.differing_columns else ()
                if wanted.column is None or wanted.column in columns:
                    state = KeyState.HEALED if healed else state_of(row.first_seen, observation.day)
                    yield StoredKey(row.tenant, row.name, row.kind, tuple(parse_key(day, row.key)), columns, state,
                                    row.first_seen)

    @retried
    def kept_keys(self, observation: Observation) -> dict[str, int]:
        """Return the number of drifting keys by entity that this ledger has."""
        entity = tables.entity
        with self.reading() as connection:
            rows = connection.execute(
                select(entity.c.name, entity.c.kept_keys).where(entity.c.observation == self._number(observation.id)))
            return {row.name: row.kept_keys for row in rows}

    def _number(self, observation_id: str | None) -> Any:
        own = self.own.observation
        return select(own.c.number).where(own.c.id == observation_id).scalar_subquery()

    def _keys(self, key: Any, observation: Observation, wanted: KeyFilter, *, healed: bool) -> Select[Any]:
        entity, current = tables.entity, tables.key
        change = observation.change
        number = self._number(change.observation if healed and change else observation.id)
        statement = select(
            entity.c.name, key.c.tenant, key.c.key, key.c.kind, key.c.differing_columns, key.c.first_seen,
        ).join(entity, (entity.c.observation == key.c.observation) & (entity.c.ordinal == key.c.entity)).where(
            key.c.observation == number, *_conditions(key, wanted, observation.day))
        if healed and isinstance(self.address, PostgresAddress):
            same = (current.c.observation == self._number(observation.id)) & (current.c.entity == key.c.entity) & (
                current.c.tenant == key.c.tenant) & (current.c.key == key.c.key)
            statement = statement.outerjoin(current, same).where(current.c.observation.is_(null()))
        elif healed:  # SQLite has no hash join, but an index of a subquery
            names = ("entity", "tenant", "key")
            drifting = select(*(current.c[name] for name in names)).where(
                current.c.observation == self._number(observation.id))
            statement = statement.where(tuple_(*(key.c[name] for name in names)).not_in(drifting))
        return statement.order_by(key.c.entity, key.c.tenant, key.c.key, key.c.kind)


def _conditions(key: Any, wanted: KeyFilter, day: date) -> Iterator[ColumnElement[bool]]:
    if wanted.tenant is not None:
        yield key.c.tenant == wanted.tenant
    if wanted.entity is not None:
        yield tables.entity.c.name == wanted.entity
    if wanted.kind is not None:
        yield key.c.kind == wanted.kind.value
    if wanted.since is not None:
        yield key.c.first_seen >= literal(wanted.since, tables.key.c.first_seen.type)
    if wanted.state is KeyState.NEW:
        yield key.c.first_seen == literal(day, tables.key.c.first_seen.type)
    if wanted.state is KeyState.PERSISTENT:
        yield key.c.first_seen < literal(day, tables.key.c.first_seen.type)
