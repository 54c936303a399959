"""Drift within one database: of whole tenants at the first read, and of the tracked keys at a recheck."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from psycopg import sql

from orgrecon_pipeline.compare.keys.drilldown import drill_down
from orgrecon_pipeline.compare.keys.key_join import join_by_key
from orgrecon_pipeline.compare.keys.tracked_keys import TrackedKeys
from orgrecon_pipeline.compare.queries.statements import EntityStatements
from orgrecon_pipeline.compare.scan.fingerprints import Extent, Fingerprints, TenantFigures
from orgrecon_pipeline.postgres.session import Session

# Drifting keys per statement that groups them. They are sent to the server and back.
BATCH_KEYS = 1_000_000

# From this part of all rows on, selecting the tenants takes longer than scanning all of them.
_MOST_ROWS = 0.8


class EarlierReads:
    """Figures of the tenants of one entity at its earlier reads. They tell which tenants have changed since."""

    def __init__(self, first: Fingerprints) -> None:
        self.extent = first.extent
        self._first = first
        self._since: dict[str, TenantFigures] = {}

    @property
    def largest_tenant(self) -> int:
        """Most rows of a tenant on one side at the first read."""
        return max(max(self._first.source_rows, default=0),
                   max((rows.target for rows in self._first.differing.values()), default=0))

    def rows_of(self, tenants: Iterable[str]) -> int:
        """Return the rows of some tenants on both sides at the first read."""
        return sum(self._first.rows_of(tenant).total for tenant in tenants)

    def to_scan(self, tracked: Collection[str]) -> list[str] | None:
        """Return the tenants to scan again; None for all, if the tracked ones have most of the rows."""
        return None if self.rows_of(tracked) >= _MOST_ROWS * self.extent.rows else sorted(tracked)

    def unchanged(
        self, tracked: dict[str, TrackedKeys], fingerprints: Fingerprints
    ) -> tuple[dict[str, TrackedKeys], list[str]]:
        """Return the keys of the tenants without a changed row, and the tenants that must be read by key.

        The ``fingerprints`` are from a later read, with which the next one will be compared.
        """
        unchanged, changed = {}, []
        for tenant in sorted(tracked.keys() & fingerprints.differing.keys()):
            figures = fingerprints.of_tenant(tenant)
            is_same = figures == (self._since.get(tenant) or self._first.of_tenant(tenant))
            if is_same and tracked[tenant].counts_are_known:
                unchanged[tenant] = tracked[tenant]
            else:
                changed.append(tenant)
            if figures and not is_same:
                self._since[tenant] = figures
        return unchanged, changed


def find_drift(
    session: Session, statements: EntityStatements, tenants: Sequence[str], fingerprints: Fingerprints, extent: Extent,
    largest_table: sql.Identifier | None,
) -> dict[str, TrackedKeys]:
    """Return the drift of the given tenants: by one join, or by grouping what the join cannot decide."""
    drift, undecided = _join(session, statements, tenants, fingerprints, extent, largest_table)
    return drift | (drill_down(session, statements, undecided) if undecided else {})


def find_tracked(
    session: Session, statements: EntityStatements, tenants: Sequence[str], fingerprints: Fingerprints, extent: Extent,
    largest_table: sql.Identifier | None, tracked: dict[str, TrackedKeys],
) -> dict[str, TrackedKeys]:
    """Return the ``tracked`` keys of the given tenants that still drift, by the same steps as :func:`find_drift`.

    If keys are respellable, untracked keys are returned too, as in flux.
    """
    joined, undecided = _join(session, statements, tenants, fingerprints, extent, largest_table)
    drift = {tenant: keys for tenant, now in joined.items()
             if (keys := tracked[tenant].as_of(now, with_untracked=statements.respellable_keys))}
    for batch in batches_of_keys(tracked, undecided):
        drift |= drill_down(session, statements, batch, tracked)
    return drift


def batches_of_keys(tracked: dict[str, TrackedKeys], tenants: Iterable[str]) -> Iterator[list[str]]:
    """Yield the tenants in batches that one statement can group."""
    return in_batches(((tenant, len(tracked[tenant].keys)) for tenant in tenants), BATCH_KEYS)


def in_batches(sizes: Iterable[tuple[str, int]], limit: int) -> Iterator[list[str]]:
    """Yield tenants, given with their sizes, in batches that end as soon as their size reaches the limit."""
    batch: list[str] = []
    total = 0
    for tenant, size in sizes:
        batch.append(tenant)
        total += size
        if total >= limit:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch


def _join(
    session: Session, statements: EntityStatements, tenants: Sequence[str], fingerprints: Fingerprints, extent: Extent,
    largest_table: sql.Identifier | None,
) -> tuple[dict[str, TrackedKeys], Sequence[str]]:
    if not statements.consistent_key_hash:
        return {}, tenants
    return join_by_key(session, statements, tenants, fingerprints, extent, largest_table)
