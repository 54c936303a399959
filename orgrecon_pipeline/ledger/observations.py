"""Reading observations."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, func, select

from orgrecon_pipeline.domain.day_decision import deciding_observation, in_order
from orgrecon_pipeline.domain.evidence import EntityTotals, Observation, Provenance, Verdict
from orgrecon_pipeline.ledger.engine import Store
from orgrecon_pipeline.ledger.tables import FIGURES, entity
from orgrecon_pipeline.ledger.tables import observation as table


def of_day(store: Store, day: date) -> list[Observation]:
    """All observations of a day, oldest first."""
    return in_order(as_appended(store, day))


def as_appended(store: Store, day: date) -> list[Observation]:
    """All observations of a day, in the order in which the ledger got them."""
    with store.reading() as connection:
        return _load(connection, table.c.day == day)


def deciding_of_day(store: Store, day: date, same_day: Literal["latest", "worst"]) -> Observation | None:
    """The observation that decides a day."""
    found = of_day(store, day)
    decides = deciding_observation(found, same_day)
    return next((observation for observation in found if decides and observation.id == decides.id), None)


def of_id(store: Store, observation_id: str | None) -> Observation | None:
    """The observation of that id."""
    with store.reading() as connection:
        return next(iter(_load(connection, table.c.id == observation_id)), None)


def days(store: Store) -> list[date]:
    """The days that have an observation, earliest first."""
    with store.reading() as connection:
        return list(connection.execute(select(table.c.day).distinct().order_by(table.c.day)).scalars())


def extreme(
    store: Store, provenances: Collection[Provenance], *, last: bool, decided_only: bool, completed_only: bool,
    before: date | None, until: datetime | None = None,
) -> Observation | None:
    """The last or the first observation that fits, in the order of :func:`in_order`."""
    conditions: list[ColumnElement[bool]] = [table.c.provenance.in_([p.value for p in provenances])]
    if decided_only:
        conditions.append(table.c.verdict.in_([verdict.value for verdict in Verdict if verdict.decided]))
    if completed_only:
        conditions.append(table.c.tenants_scanned.is_not(None))
    if before is not None:
        conditions.append(table.c.day < before)
    if until is not None:
        conditions.append(table.c.observed_at <= until)
    # Both databases put NULLs somewhere else; a baseline, which has no time, comes before everything.
    order: list[ColumnElement[Any]] = [table.c.observed_at.is_not(None), table.c.observed_at, table.c.id]
    wanted = select(table.c.number).where(*conditions).order_by(
        *(part.desc() if last else part for part in order)).limit(1)
    with store.reading() as connection:
        found = _load(connection, table.c.number == wanted.scalar_subquery())
    return found[0] if found else None


def verdict_counts(store: Store) -> dict[Verdict, int]:
    """How many observations there are of each verdict."""
    with store.reading() as connection:
        rows = connection.execute(select(table.c.verdict, func.count()).group_by(table.c.verdict))
        return {Verdict(verdict): count for verdict, count in rows}


def _load(connection: Connection, condition: ColumnElement[bool]) -> list[Observation]:
    totals: dict[int, dict[str, EntityTotals]] = defaultdict(dict)
    for row in connection.execute(
        select(entity).join(table, table.c.number == entity.c.observation).where(condition).order_by(
            entity.c.observation, entity.c.ordinal)
    ).mappings():
        totals[row["observation"]][row["name"]] = EntityTotals(**{figure: row[figure] for figure in FIGURES})
    return [
        Observation(
            id=row.id, day=row.day, provenance=Provenance(row.provenance), verdict=Verdict(row.verdict),
            reason=row.reason, observed_at=row.observed_at, mapping_digest=row.mapping_digest,
            orgrecon_version=row.orgrecon_version, tenants_scanned=row.tenants_scanned,
            tenants_with_drift=row.tenants_with_drift, entities=totals[row.number], compared=json.loads(row.compared),
        )
        for row in connection.execute(select(table).where(condition).order_by(table.c.number))
    ]
