"""Writing an observation: whole, once, and never again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, insert, select
from sqlalchemy.exc import IntegrityError

from orgrecon_pipeline.domain.coverage import CoverageEvent
from orgrecon_pipeline.domain.errors import EvidenceNotKept
from orgrecon_pipeline.domain.evidence import Observation, Sample, TenantRow
from orgrecon_pipeline.ledger import tables
from orgrecon_pipeline.ledger.bulk_insert import insert_rows
from orgrecon_pipeline.ledger.engine import Store
from orgrecon_pipeline.ledger.validate import json_text, keepable


def append(
    store: Store, observation: Observation, tenant_rows: Iterable[TenantRow], samples: Iterable[Sample],
    coverage: Iterable[CoverageEvent],
) -> bool:
    """See :meth:`orgrecon_pipeline.ledger.ledger.Ledger.append`."""
    with store.writing() as connection:
        number = _insert_observation(connection, observation)
        if number is None:
            return False
        _insert(connection, tables.entity, (
            {"observation": number, "ordinal": at, "name": keepable(name), **totals.model_dump()}
            for at, (name, totals) in enumerate(observation.entities.items())
        ))
        insert_rows(connection, tables.tenant_row, _tenant_values(number, observation, tenant_rows))
        _insert(connection, tables.sample, (
            {"observation": number, "ordinal": at, "tenant": keepable(sample.tenant),
             "entity": keepable(sample.entity), "kind": keepable(sample.kind), "keys": json_text(sample.key),
             "differing": json_text(sample.columns),
             "shown": None if sample.values is None else json_text(sample.values)}
            for at, sample in enumerate(samples)
        ))
        insert_rows(connection, tables.coverage, (
            (number, at, event.subject.value, keepable(event.name), event.happening.value)
            for at, event in enumerate(coverage)
        ))
    return True


def _insert_observation(connection: Connection, observation: Observation) -> int | None:
    """The number of the new observation, or None when its id is there already."""
    id_ = keepable(observation.id)
    if connection.execute(select(tables.observation.c.number).where(tables.observation.c.id == id_)).first():
        return None
    try:
        key = connection.execute(insert(tables.observation).values(
            id=id_,
            day=observation.day,
            provenance=observation.provenance.value,
            verdict=observation.verdict.value,
            reason=keepable(observation.reason),
            observed_at=observation.observed_at,
            mapping_digest=keepable(observation.mapping_digest),
            orgrecon_version=keepable(observation.orgrecon_version),
            tenants_scanned=observation.tenants_scanned,
            tenants_with_drift=observation.tenants_with_drift,
            compared=json_text(observation.compared),
        )).inserted_primary_key
    except IntegrityError as error:
        # Postgres: somebody else appended the same between the two statements.
        if getattr(error.orig, "sqlstate", None) == "23505":
            connection.get_transaction().rollback()  # type: ignore[union-attr]
            return None
        raise
    assert key is not None  # noqa: S101 - a single row was inserted
    return int(key[0])


def _tenant_values(number: int, observation: Observation, rows: Iterable[TenantRow]) -> Iterator[Sequence[Any]]:
    ordinals = {name: at for at, name in enumerate(observation.entities)}
    for row in rows:
        ordinal = ordinals.get(row.entity)
        if ordinal is None:
            raise EvidenceNotKept("the evidence was not kept: a tenant's row is of an entity that it does not list.")
        yield (number, keepable(row.tenant), ordinal, row.source_rows, row.target_rows, row.missing, row.unexpected,
               row.mismatched, row.duplicate, row.transient, row.drift)


_T = TypeVar("_T")


def _insert(connection: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    for chunk in chunks(rows, 1_000):
        connection.execute(insert(table), chunk)


def chunks(rows: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """The rows in lists of at most ``size``."""
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk
