"""Drift of tenants with unique keys, found by one join by key. docs/architecture.md proves why its check suffices."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import islice
from operator import lt

from psycopg import sql

from orgrecon_pipeline.compare.keys.buckets import Buckets, choose_bucket_count
from orgrecon_pipeline.compare.keys.tracked_keys import TrackedKeys
from orgrecon_pipeline.compare.queries.statements import EntityStatements
from orgrecon_pipeline.compare.scan.fingerprints import Extent, Fingerprints
from orgrecon_pipeline.compare.scan.side_scan import SCAN_SETTINGS
from orgrecon_pipeline.domain.drift.kinds import Counts
from orgrecon_pipeline.postgres.int8_arrays import decode_int8
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.settings import RAISED_WORK_MEM

# Time limit of a join: some seconds, and one more per so many rows. A join of unique keys is ten times as fast;
# n copies of a key on both sides are n² pairs.
_MIN_SECONDS = 10.0
_ROWS_PER_SECOND = 100_000

# Planner settings: without statistics of the hashes, the planner would sort both sides, which takes longer.
_BY_HASH = {"enable_mergejoin": "off"}

# From this version on, a FULL JOIN uses workers.
_PARALLEL_JOIN_SINCE = 160_000

_ARRAYS = ("keys", "source_states", "target_states")


def join_by_key(
    session: Session, statements: EntityStatements, tenants: Sequence[str], fingerprints: Fingerprints, extent: Extent,
    largest_table: sql.Identifier | None = None, *, bucket_count: int | None = None,
) -> tuple[dict[str, TrackedKeys], list[str]]:
    """Return the drift by tenant, and the tenants for which the join does not explain the fingerprints.

    The session must be in the snapshot of the fingerprints, and the key hash must be consistent. ``extent`` is the size
    of the entity, of which the fingerprints may cover only a part. By default, only the keys of differing buckets are
    joined if one process would have to join many; 0 joins all keys.
    """
    all_tenants = extent.is_all(tenants)
    to_join = sum(fingerprints.rows_of(tenant).total for tenant in tenants)
    seconds = _MIN_SECONDS + to_join / _ROWS_PER_SECOND
    large = statements.only is None and extent.is_large(to_join)
    if not large:
        largest_table = None
    if bucket_count is None:
        in_one_process = large and session.server_version < _PARALLEL_JOIN_SINCE and not statements.distributed
        bucket_count = choose_bucket_count(list(map(fingerprints.rows_of, tenants))) if in_one_process else 0
    settings = _BY_HASH | (SCAN_SETTINGS if large else {})
    buckets = _differing_buckets(session, statements, tenants, bucket_count, settings, largest_table)
    statement = statements.key_join(largest_table, all_tenants=all_tenants, in_buckets=buckets is not None)
    # If large, with the server's own work_mem: a hash table that exceeds the processor's caches is slower than batches.
    with session.planner_settings(settings, None if large else RAISED_WORK_MEM):
        parameters: dict[str, object] = {} if all_tenants else {"tenants": list(tenants)}
        parameters |= buckets.parameters() if buckets else {}
        rows = session.query_within(seconds, statement, statements.name, parameters)
    if rows is None:
        return {}, list(tenants)
    # May contain other tenants, whose names a collation considers equal.
    by_tenant = {row["tenant"]: row for row in rows}
    drift, undecided = {}, []
    for tenant in tenants:
        row = by_tenant.get(tenant)
        balance = int(row["balance"]) if row else 0
        arrays = [decode_int8(row[name]) for name in _ARRAYS] if row else []
        if balance != fingerprints.balances.get(tenant, 0) or (row and not _strictly_ascending(arrays[0])):
            undecided.append(tenant)
        elif row:
            drift[tenant] = TrackedKeys.start(Counts.of(row), *arrays)
    return drift, undecided


def _differing_buckets(
    session: Session, statements: EntityStatements, tenants: Sequence[str], count: int, settings: dict[str, str],
    largest_table: sql.Identifier | None,
) -> Buckets | None:
    """Return the buckets of keys that differ; None if all keys must be joined."""
    if not count:
        return None
    with session.planner_settings(settings, RAISED_WORK_MEM):
        rows = session.query(statements.differing_buckets(largest_table), statements.name, {
            "tenants": list(tenants), "mask": count - 1})
    buckets = [row["bucket"] for row in rows]
    # A NULL in a key has no bucket. Of many buckets, nearly all rows would remain.
    return None if None in buckets or len(buckets) > count / 2 else Buckets.of(count, buckets)


def _strictly_ascending(keys: array[int]) -> bool:
    """Return whether no key is in several pairs."""
    return all(map(lt, keys, islice(keys, 1, None)))
