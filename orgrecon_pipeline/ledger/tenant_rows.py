"""Reading what belongs to an observation: its tenants' rows and its sample keys."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, func, select

from orgrecon_pipeline.domain.evidence import Sample, TenantRow
from orgrecon_pipeline.ledger.engine import Store
from orgrecon_pipeline.ledger.tables import FIGURES, entity, observation, sample, tenant_row

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("tenant", "entity", *FIGURES)


def breakdown(store: Store, observation_id: str, limit: int) -> list[TenantRow]:
    """The rows of at most ``limit`` tenants, most drift first."""
    drift = func.sum(tenant_row.c.drift)
    shown = (
        select(tenant_row.c.tenant, drift.label("drift"))
        .join(observation, observation.c.number == tenant_row.c.observation)
        .where(observation.c.id == observation_id)
        .group_by(tenant_row.c.tenant).order_by(drift.desc(), tenant_row.c.tenant).limit(max(limit, 0)).subquery()
    )
    statement = _rows(observation_id).join(shown, shown.c.tenant == tenant_row.c.tenant).order_by(
        shown.c.drift.desc(), tenant_row.c.tenant, tenant_row.c.entity)
    with store.reading() as connection:
        return [TenantRow(**dict(zip(_COLUMNS, row, strict=True))) for row in connection.execute(statement)]


def tenant_drift(store: Store, observation_id: str) -> pd.DataFrame:
    """Every row that was kept of an observation, as a table."""
    import pandas as pd

    with store.reading() as connection:
        rows = connection.execute(
            _rows(observation_id).order_by(tenant_row.c.tenant, tenant_row.c.entity)).fetchall()
    table = pd.DataFrame.from_records([tuple(row) for row in rows], columns=list(_COLUMNS))
    typed: pd.DataFrame = table.astype(
        {**dict.fromkeys(("tenant", "entity"), "object"), **dict.fromkeys(FIGURES, "int64")})
    return typed


def samples(store: Store, observation_id: str) -> list[Sample]:
    """The sample keys of an observation."""
    statement = select(sample).join(observation, observation.c.number == sample.c.observation).where(
        observation.c.id == observation_id).order_by(sample.c.ordinal)
    with store.reading() as connection:
        return [_sample(row) for row in connection.execute(statement)]


def _rows(observation_id: str) -> Select[Any]:
    return (
        select(tenant_row.c.tenant, entity.c.name, *(tenant_row.c[figure] for figure in FIGURES))
        .join(observation, observation.c.number == tenant_row.c.observation)
        .join(entity, (entity.c.observation == tenant_row.c.observation) & (entity.c.ordinal == tenant_row.c.entity))
        .where(observation.c.id == observation_id)
    )


def _sample(row: Any) -> Sample:
    return Sample(
        tenant=row.tenant, entity=row.entity, kind=row.kind, key=json.loads(row.keys),
        columns=tuple(json.loads(row.differing)), values=None if row.shown is None else json.loads(row.shown),
    )
