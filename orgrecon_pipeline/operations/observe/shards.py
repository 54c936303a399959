"""Comparison of a day's databases: one pair of endpoints, or all shards concurrently."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from orgrecon_pipeline.compare.engine import compare
from orgrecon_pipeline.compare.result import Comparison
from orgrecon_pipeline.domain.databases import UNSHARDED
from orgrecon_pipeline.domain.reasons import Reason
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe import shard_merge
from orgrecon_pipeline.operations.observe.admission import Admission
from orgrecon_pipeline.operations.observe.shard_cache import cached_shards, database_has_changed
from orgrecon_pipeline.operations.observe.shard_runner import Progress, ShardRunner, ShardsUndecided, size_of
from orgrecon_pipeline.operations.table_sizes import last_comparison
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.dsn import Endpoints

Wait = Callable[[float], None] | None
# With more drifting keys, a shard is compared again instead of being stored with all of them.
_MAX_CACHED_KEYS = 10_000


def compare_endpoints(
    context: Context, endpoints: dict[str, Endpoints], admission: Admission, *, exact: bool, progress: Progress,
    wait: Wait,
) -> Comparison:
    """Compare the databases of a day.

    A shard is not compared again if an earlier attempt of the day decided it while other shards failed.

    Raises:
        CannotDecide: if the comparison could not be completed.
        ConfigurationError: if a tenant is in two shards.
        DayRefused: if a database's snapshot is not evidence for the day.
    """

    earlier = last_comparison(context.ledger, admission.mapping, exact=exact)

    def compare_shard(name: str, say: Progress, deadline: Deadline) -> Comparison:
        return compare(
            admission.mapping, endpoints[name], exact=exact, admit=lambda snapshot: admission.admit(name, snapshot),
            progress=say, wait=wait, deadline=deadline, earlier=None if name else earlier)

    scan = admission.mapping.scan
    if endpoints.keys() == {UNSHARDED}:
        return compare_shard(UNSHARDED, progress, Deadline(scan.deadline_seconds))
    started = time.monotonic()
    comparisons, reused_from = _reusable_shards(context, endpoints, admission, exact)
    for name in comparisons:
        progress(f"shard {name}: reusing the comparison of observation {reused_from[name]}")
    failures: dict[str, Reason] = {}
    remaining = [name for name in endpoints if name not in comparisons]
    while remaining:
        compared, failed = ShardRunner(scan, compare_shard, progress, size_of).run(remaining)
        comparisons, failures = {**comparisons, **compared}, {**failures, **failed}
        # A tenant may have moved to another shard since the earlier attempt: compare both shards again.
        remaining = sorted(shard_merge.shards_with_shared_tenants(comparisons) & reused_from.keys())
        for name in remaining:
            del comparisons[name], reused_from[name]
    shard_merge.refuse_shared_tenants(comparisons)
    if failures:
        raise ShardsUndecided(failures, {
            name: comparison for name, comparison in comparisons.items()
            if name not in reused_from and _may_be_reused(comparison)})
    return shard_merge.merge_shards(admission.mapping, comparisons, reused_from, time.monotonic() - started)


def _reusable_shards(
    context: Context, endpoints: dict[str, Endpoints], admission: Admission, exact: bool
) -> tuple[dict[str, Comparison], dict[str, str]]:
    """Return the cached shards whose databases are still the same, and the observation that compared each."""
    comparisons, reused_from = cached_shards(context, admission, exact)
    with ThreadPoolExecutor(admission.mapping.scan.shards_at_once) as pool:
        changed = pool.map(
            lambda name: database_has_changed(context, endpoints[name], comparisons[name]), names := list(comparisons))
        for name in [name for name, differs in zip(names, changed, strict=True) if differs]:
            del comparisons[name], reused_from[name]
    return comparisons, reused_from


def _may_be_reused(comparison: Comparison) -> bool:
    keys = comparison.keys
    return not comparison.keys_in_flux and keys.complete and keys.kept.total() <= _MAX_CACHED_KEYS
