"""Drift within one database: of whole tenants at the first read, and of the tracked keys at a recheck."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from psycopg import sql

from orgrecon_pipeline.compare.keys.drilldown import drill_down
from orgrecon_pipeline.compare.keys.key_join import join_by_key
from orgrecon_pipeline.compare.keys.tracked_keys import TrackedKeys
from orgrecon_pipeline.compare.keys.written_keys import WrittenKeys
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
        self._since: dict[str, TenantFigures | None] = {}

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

    def written_keys(self, statements: EntityStatements, tracked: Mapping[str, TrackedKeys]) -> WrittenKeys:
        """Return the read that finds out which of the tracked keys have been written since."""
        rows = self.rows_of(tracked)
        return WrittenKeys.of(statements, tracked, self.to_scan(tracked), rows, self.largest_tenant,
                              large=statements.only is None and self.extent.is_large(rows))

    def unchanged(
        self, tracked: dict[str, TrackedKeys], fingerprints: Fingerprints
    ) -> tuple[dict[str, TrackedKeys], list[str]]:
        """Return the keys of the tenants without a changed row, and the tenants that must be read by key.

        The ``fingerprints`` are from a later read, with which the next one will be compared.
        """
        unchanged, changed = {}, []
        for tenant in sorted(tracked.keys() & fingerprints.differing.keys()):
            figures = fingerprints.of_tenant(tenant)
            is_same = figures == (self._since[tenant] if tenant in self._since else self._first.of_tenant(tenant))
            if is_same and tracked[tenant].counts_are_known:
                unchanged[tenant] = tracked[tenant]
            else:
                changed.append(tenant)
            if not is_same:
                self._since[tenant] = figures
        return unchanged, changed

    def forget(self, tenants: Iterable[str]) -> None:
        """Forget the figures of tenants whose keys are read without a scan: they are older than the keys then."""
        self._since |= dict.fromkeys(tenants)

    def were_written(self, tracked: Collection[str], row_writes: int, all_rows: int) -> bool:
        """Return whether most of the tracked tenants were probably written: on average, at least one row of each.

        ``row_writes`` of ``all_rows`` were written since the previous read.
        """
        return row_writes * self.rows_of(tracked) >= all_rows * len(tracked)


def find_drift(
    session: Session, statements: EntityStatements, tenants: Sequence[str], fingerprints: Fingerprints, extent: Extent,
    largest_table: sql.Identifier | None,
) -> dict[str, TrackedKeys]:
    """Return the drift of the given tenants: by one join, or by grouping what the join cannot decide."""
    drift, undecided = dict[str, TrackedKeys](), tenants
    if statements.consistent_key_hash:
        drift, undecided = join_by_key(session, statements, tenants, fingerprints, extent, largest_table)
    return drift | (drill_down(session, statements, undecided) if undecided else {})


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
