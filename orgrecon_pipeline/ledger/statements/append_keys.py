"""Statements that append the drifting keys of an observation, each with the first day of its current run.

The keys are staged in a temporary table, and joined with those of the previous decided day there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, case, func, insert, literal, null, select

from orgrecon_pipeline.domain.drift.key import DriftingKey, key_text
from orgrecon_pipeline.domain.drift.kinds import DriftKind
from orgrecon_pipeline.domain.evidence import Change, Observation, Oldest, Previous, Sample, StateCounts
from orgrecon_pipeline.ledger import tables
from orgrecon_pipeline.ledger.connection.engine import OwnRows
from orgrecon_pipeline.ledger.statements.rows import insert_rows, iso_day, json_text, storable

_CHUNK = 1_000  # keys

_key = tables.key


def _temporary(name: str, *columns: str) -> sa.Table:
    return sa.Table(name, sa.MetaData(), *(sa.Column(column, _key.c[column].type) for column in columns),
                    prefixes=["TEMPORARY"], postgresql_on_commit="DROP")


_staged = _temporary("orgrecon_staged_key", "entity", "tenant", "key", "kind", "differing_columns")
_known = _temporary("orgrecon_known_key", "entity", "tenant", "key", "first_seen")

#: The first day of the oldest drift by the ordinal of the entity and the tenant; None if it is unknown.
FirstSeen = Mapping[tuple[int, str], date | None]


@dataclass(frozen=True)
class Earlier:
    """The keys of the previous decided day: the number of its observation, and the entities whose keys are incomplete.

    Entities are ordinals. Observations of one mapping have the same entities in the same order.
    """

    previous: Previous
    number: int | None = None
    incomplete: frozenset[int] = frozenset()


def stage_keys(connection: Connection, entities: Sequence[str], keys: Iterable[DriftingKey]) -> Counter[str]:
    """Stage the drifting keys of the given entities, and return their number by entity."""
    if connection.dialect.name == "postgresql":
        # Without statistics of the new rows, the planner would scan them once for each other row.
        connection.exec_driver_sql("SET LOCAL enable_nestloop = off")
    _staged.create(connection)
    ordinals = {name: ordinal for ordinal, name in enumerate(entities)}
    staged: Counter[str] = Counter()
    texts_of_columns = lru_cache(json_text)  # few sets of columns differ in many keys

    def rows() -> Iterator[Sequence[Any]]:
        mismatched, remaining = DriftKind.MISMATCHED.value, iter(keys)
        while chunk := list(islice(remaining, _CHUNK)):
            texts = [key_text(key.key) for key in chunk]
            # One check of many texts takes a tenth of the time of many checks.
            storable("".join([*(key.tenant for key in chunk), *texts]))
            staged.update(key.entity for key in chunk)
            for (tenant, entity, _, kinds, columns), text in zip(chunk, texts, strict=True):
                for kind in kinds:
                    yield (ordinals[entity], tenant, text, kind,
                           texts_of_columns(columns) if kind == mismatched else None)

    insert_rows(connection, _staged, rows())
    _index(connection, _staged)
    return staged


def append_samples_as_keys(
    connection: Connection, number: int, observation: Observation, samples: Iterable[Sample]
) -> Counter[str]:
    """Append the keys of the samples, and return their number by entity."""
    ordinals = {name: ordinal for ordinal, name in enumerate(observation.entities)}
    kept: dict[tuple[str, str, str], None] = {}

    def rows() -> Iterator[Sequence[Any]]:
        for sample in samples:
            text = key_text_of(sample)
            kept[sample.entity, sample.tenant, text] = None
            columns = json_text(sample.columns) if sample.columns else None
            yield (number, ordinals[sample.entity], iso_day(sample.first_seen), storable(sample.tenant),
                   storable(text), sample.kind.value, columns)

    insert_rows(connection, _key, rows())
    return Counter(entity for entity, _, _ in kept)


def earlier_keys(
    connection: Connection, own: OwnRows, previous: Previous, observation: Observation | None
) -> Earlier:
    """Return what is known about the keys of the previous decided day, whose observation is given."""
    if observation is None:
        return Earlier(previous)
    table, entity = own.observation, tables.entity
    rows = connection.execute(select(entity.c.observation, entity.c.name, entity.c.kept_keys).join(
        table, table.c.number == entity.c.observation).where(table.c.id == observation.id)).all()
    kept = Counter({row.name: row.kept_keys for row in rows})
    return Earlier(previous, rows[0].observation, frozenset(incomplete_entities(observation, kept)))


def incomplete_entities(observation: Observation, kept: Counter[str]) -> set[int]:
    """Return the entities of an observation of which not all drifting keys are among the ``kept`` ones."""
    keys = observation.drifting_keys()
    return {ordinal for ordinal, name in enumerate(observation.entities) if keys[name] != kept[name]}


def append_staged_keys(connection: Connection, number: int, day: date, earlier: Earlier) -> None:
    """Append the staged keys to an observation of a day."""
    _known.create(connection)
    known = select(
        _key.c.entity, _key.c.tenant, _key.c.key,
        # A key of which nobody knows when it began to drift did so on the previous day at the latest.
        func.min(func.coalesce(_key.c.first_seen, literal(earlier.previous.since, sa.Date))).label("first_seen"),
    ).where(_key.c.observation == earlier.number).group_by(_key.c.entity, _key.c.tenant, _key.c.key)
    connection.execute(insert(_known).from_select([column.name for column in _known.c], known))
    _index(connection, _known)
    first_seen = case(
        (_known.c.first_seen.is_not(None), _known.c.first_seen),
        (_staged.c.entity.in_(earlier.incomplete), null()),
        else_=literal(day, sa.Date))
    values = [literal(number, sa.BigInteger), _staged.c.entity, first_seen, _staged.c.tenant, _staged.c.key,
              _staged.c.kind, _staged.c.differing_columns]
    rows = select(*values).select_from(_staged).outerjoin(_known, _same_key(_known))
    if connection.dialect.name == "sqlite":
        # In the order of both indexes, so that each look-up finds its page in the cache.
        rows = rows.order_by(_staged.c.entity, _staged.c.tenant, _staged.c.key)
    connection.execute(insert(_key).from_select([column.name for column in _key.c], rows))


def change_of_staged_keys(
    connection: Connection, number: int, observation: Observation, earlier: Earlier, incomplete: Collection[int],
) -> tuple[Change, FirstSeen]:
    """Return the change since the previous decided day, and the first day of each tenant's oldest drift.

    ``incomplete`` are the entities of which the ledger does not have all keys of the observation.
    """
    names = list(observation.entities)
    unknown = earlier.incomplete | set(incomplete)
    counts = {(ordinal, kind.value): Counter[str]() for ordinal in range(len(names)) for kind in DriftKind}
    is_new = _key.c.first_seen == literal(observation.day, sa.Date)
    rows = connection.execute(select(_key.c.entity, _key.c.kind, is_new, func.count()).where(
        _key.c.observation == number).group_by(_key.c.entity, _key.c.kind, is_new))
    for ordinal, kind, new, keys in rows:
        counts[ordinal, kind]["new" if new else "persistent"] += keys
    for ordinal, kind, keys in connection.execute(
        select(_key.c.entity, _key.c.kind, func.count()).select_from(_key).outerjoin(_staged, _same_key(_key))
        .where(_key.c.observation == earlier.number, _staged.c.entity.is_(None)).group_by(_key.c.entity, _key.c.kind)
    ):
        counts[ordinal, kind]["healed"] += keys
    # A key in flux may have healed or not.
    in_flux = bool(observation.compared.get("keys_in_flux"))

    def states(ordinal: int, kind: str) -> StateCounts:
        if ordinal in unknown:
            return StateCounts(new=None, persistent=None, healed=None)
        of_kind = counts[ordinal, kind]
        return StateCounts(new=of_kind["new"], persistent=of_kind["persistent"],
                           healed=None if in_flux else of_kind["healed"])

    first_seen = _first_seen(connection, number, incomplete)
    return Change.of(
        earlier.previous,
        {name: {kind.value: states(ordinal, kind.value) for kind in DriftKind} for ordinal, name in enumerate(names)},
        _oldest(names, first_seen, incomplete)), first_seen


def samples_with_first_seen(
    connection: Connection, number: int, observation: Observation, samples: Iterable[Sample]
) -> list[Sample]:
    """Return the samples with the days on which their keys were first seen."""
    samples = list(samples)
    ordinals = {name: ordinal for ordinal, name in enumerate(observation.entities)}
    texts = [key_text_of(sample) for sample in samples]
    rows = connection.execute(select(_key.c.entity, _key.c.tenant, _key.c.key, _key.c.first_seen).where(
        _key.c.observation == number, _key.c.key.in_(set(texts)), _key.c.tenant.in_({s.tenant for s in samples})))
    first_seen = {tuple(row[:3]): row.first_seen for row in rows}
    return [
        sample.model_copy(update={"first_seen": first_seen.get((ordinals[sample.entity], sample.tenant, text))})
        for sample, text in zip(samples, texts, strict=True)]


def key_text_of(sample: Sample) -> str:
    """Return the key of a sample as it is stored."""
    return key_text(text for _, text in sorted(sample.key.items()))


def _first_seen(connection: Connection, number: int, incomplete: Collection[int]) -> FirstSeen:
    # A key with an unknown first day may be the oldest.
    oldest = case((func.count(_key.c.first_seen) == func.count(), func.min(_key.c.first_seen)))
    rows = connection.execute(select(_key.c.entity, _key.c.tenant, oldest).where(
        _key.c.observation == number, _key.c.entity.not_in(incomplete)).group_by(_key.c.entity, _key.c.tenant))
    return {(ordinal, tenant): first_seen for ordinal, tenant, first_seen in rows}


def _oldest(names: Sequence[str], first_seen: FirstSeen, incomplete: Collection[int]) -> dict[str, Oldest | None]:
    oldest: dict[str, Oldest | None] = {}
    by_entity: dict[int, list[tuple[date | None, str]]] = {}
    for (ordinal, tenant), day in first_seen.items():
        by_entity.setdefault(ordinal, []).append((day, tenant))
    for ordinal, name in enumerate(names):
        if ordinal in incomplete:
            oldest[name] = None
        elif of_entity := by_entity.get(ordinal):
            known = [(day, tenant) for day, tenant in of_entity if day is not None]
            day, tenant = min(known, default=(None, ""))
            complete = day is not None and len(known) == len(of_entity)
            oldest[name] = Oldest(first_seen=day, tenant=tenant) if complete else None
    return oldest


def _index(connection: Connection, table: sa.Table) -> None:
    # SQLite joins by index only. Postgres joins by hash. With all columns, the rows themselves need not be read.
    if connection.dialect.name == "sqlite":
        columns = ", ".join(dict.fromkeys(("entity", "tenant", "key", *table.columns.keys())))
        connection.exec_driver_sql(f"CREATE INDEX temp.{table.name}_index ON {table.name} ({columns})")


def _same_key(other: Any) -> Any:
    return sa.and_(*(_staged.c[name] == other.c[name] for name in ("entity", "tenant", "key")))
