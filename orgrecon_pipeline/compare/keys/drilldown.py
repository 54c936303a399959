"""Drill-down by key within one database: drifting keys by kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from orgrecon_pipeline.compare.keys.tracked_keys import IN_FLUX, TrackedKeys
from orgrecon_pipeline.compare.queries.statements import EntityStatements
from orgrecon_pipeline.domain.drift.kinds import Counts
from orgrecon_pipeline.postgres.int8_arrays import concatenate, decode_int8
from orgrecon_pipeline.postgres.session import Session

_ARRAYS = ("keys", "source_states", "target_states", "source_now", "target_now", "changed")


def drill_down(
    session: Session, statements: EntityStatements, tenants: Iterable[str],
    tracked: dict[str, TrackedKeys] | None = None,
) -> dict[str, TrackedKeys]:
    """Return the drift of the given tenants, restricted to the ``tracked`` keys if given; omit tenants without drift.

    If keys are respellable, untracked keys are returned too, as in flux.
    """
    statement = statements.drift(first_read=tracked is None)
    untracked = 0 if tracked is None else IN_FLUX if statements.respellable_keys else None
    rows = session.query(statement, statements.name, _parameters(tenants, tracked, untracked))
    return {row["tenant"]: TrackedKeys(Counts.of(row), *(decode_int8(row[name]) for name in _ARRAYS)) for row in rows}


def _parameters(
    tenants: Iterable[str], tracked: dict[str, TrackedKeys] | None, untracked: int | None
) -> dict[str, Any]:
    """Return the parameters of ``drift.sql``. ``untracked`` says how untracked keys are returned; None if they are not.
    """
    tenants = sorted(tenants)
    earlier = [tracked[tenant] for tenant in tenants if tenant in tracked] if tracked is not None else []
    return {
        "tenants": tenants,
        "untracked": untracked,
        "tracked_keys": concatenate(tenant_keys.keys for tenant_keys in earlier),
        "source_states": concatenate(tenant_keys.source_states for tenant_keys in earlier),
        "target_states": concatenate(tenant_keys.target_states for tenant_keys in earlier),
        "changed": concatenate(tenant_keys.changed for tenant_keys in earlier),
    }
