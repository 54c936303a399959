"""Drift of tenants with unique keys, found by one join by key. docs/architecture.md proves why its check suffices."""

from __future__ import annotations

from collections.abc import Sequence

from orgrecon_pipeline.compare.keys.tracked_keys import TrackedKeys
from orgrecon_pipeline.compare.queries.statements import EntityStatements
from orgrecon_pipeline.compare.scan.fingerprints import Fingerprints
from orgrecon_pipeline.domain.drift_kinds import Counts
from orgrecon_pipeline.postgres.int8_arrays import decode_int8
from orgrecon_pipeline.postgres.session import NO_NESTED_LOOPS, Session

# Time limit of a join: some seconds, and one more per so many rows. A join of unique keys is ten times as fast;
# n copies of a key on both sides are n² pairs.
_MIN_SECONDS = 10.0
_ROWS_PER_SECOND = 100_000

_ARRAYS = ("keys", "source_states", "target_states")


def join_by_key(
    session: Session, statements: EntityStatements, tenants: Sequence[str], fingerprints: Fingerprints
) -> tuple[dict[str, TrackedKeys], list[str]]:
    """Return the drift by tenant, and the tenants for which the join does not explain the fingerprints.

    The session must be in the snapshot of the fingerprints, and the key hash must be consistent.
    """
    all_tenants = len(tenants) == len(fingerprints.tenants)
    statement = statements.key_join(all_tenants=all_tenants)
    seconds = _MIN_SECONDS + sum(fingerprints.rows_of(tenant).total for tenant in tenants) / _ROWS_PER_SECOND
    with session.planner_settings(NO_NESTED_LOOPS if all_tenants and statements.only is None else {}):
        parameters = {} if all_tenants else {"tenants": list(tenants)}
        rows = session.query_within(seconds, statement, statements.name, parameters)
    if rows is None:
        return {}, list(tenants)
    # May contain other tenants, whose names a collation considers equal.
    by_tenant = {row["tenant"]: row for row in rows}
    drift, undecided = {}, []
    for tenant in tenants:
        row = by_tenant.get(tenant)
        balance = int(row["balance"]) if row else 0
        if balance != fingerprints.balances.get(tenant, 0) or (row and row["in_several_pairs"]):
            undecided.append(tenant)
        elif row:
            drift[tenant] = TrackedKeys.start(Counts.of(row), *(decode_int8(row[name]) for name in _ARRAYS))
    return drift, undecided
