"""Both sides in one database: one snapshot, and every comparison made by the server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from psycopg import sql

from orgrecon_pipeline.compare.keys.drilldown import drill_down, read_samples
from orgrecon_pipeline.compare.keys.key_join import join_sides
from orgrecon_pipeline.compare.keys.tracked_keys import Drift, TrackedKeys
from orgrecon_pipeline.compare.lockable_tables import require_lockable
from orgrecon_pipeline.compare.preflight import (
    SIDES,
    examine,
    only_examined,
    read_declared,
    refuse_elsewhere,
    unchanged,
)
from orgrecon_pipeline.compare.progress import RowCount
from orgrecon_pipeline.compare.result import SnapshotPair
from orgrecon_pipeline.compare.row_hash import RowHash
from orgrecon_pipeline.compare.scan.fingerprints import Fingerprints, refuse_null_keys, refuse_unfound
from orgrecon_pipeline.compare.scan.side_scan import SideFingerprints, read_side, side_by_side, sums_for
from orgrecon_pipeline.compare.self_test import run_self_test
from orgrecon_pipeline.compare.statements import EntityStatements, Sums, statements_of
from orgrecon_pipeline.domain.evidence import Sample
from orgrecon_pipeline.domain.mapping import MappingConfig
from orgrecon_pipeline.domain.tenant_names import TenantNames
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.snapshot_pool import SnapshotPool, Task

# Rows of both sides in one exact statement: what does not fit in its memory the server writes to temporary files.
BATCH_ROWS = 20_000_000
# Drifting keys in one statement that reads them again: they travel both ways.
BATCH_KEYS = 1_000_000


class OneDatabase:
    """See :class:`~orgrecon_pipeline.compare.reader.Reader`."""

    def __init__(self, mapping: MappingConfig, connect: Callable[[], Session], digest: RowHash) -> None:
        """Connect.

        Raises:
            CannotDecide: when that fails.
        """
        self.digest, self.rows = digest, RowCount()
        self._mapping, self._session = mapping, connect()
        self._crew = SnapshotPool(self._session, connect, mapping.scan.workers)

    def close(self) -> None:
        self._session.close()

    def examine(self) -> int:
        self._examined = examine(self._session, self._mapping)
        require_lockable(self._session, self._examined)
        self._statements = statements_of(self._mapping, self._examined.types, self.digest)
        self.rows.expected = self._examined.estimated_rows
        return len(self._examined.tables)

    @contextmanager
    def snapshot(self) -> Iterator[SnapshotPair]:
        inspect = partial(only_examined, examined=self._examined)
        with self._crew.transaction(self._examined.lockable, inspect) as identity:
            refuse_elsewhere(identity, self._examined, "the connection")
            yield SnapshotPair(identity, identity)

    def run_self_test(self, tenants: int) -> None:
        run_self_test(self._session, self.digest, sums_for(tenants))

    def unchanged(self) -> None:
        unchanged(self._session, self._mapping, self._examined)

    def declared(self) -> TenantNames | None:
        return read_declared(self._session, self._mapping.tenants)

    def fingerprints(self, tenants: int) -> dict[str, Fingerprints]:
        read = partial(_add_side, sums=sums_for(tenants), largest=self._examined.largest, rows=self.rows)
        prints: dict[str, Fingerprints] = {}
        tasks = []
        for name, statements in self._statements.items():
            both = _BothSides(statements, partial(prints.__setitem__, name))
            tasks += [partial(read, both=both, side=side) for side in SIDES]
        self._crew.run(tasks)
        for name in self._statements:
            refuse_null_keys(name, prints[name])
        return prints

    def first_read(self, prints: dict[str, Fingerprints], *, exact: bool) -> Drift:
        shares: list[tuple[str, Task[dict[str, TrackedKeys]]]] = []
        for name, statements in self._statements.items():
            tenants = prints[name].tenants if exact else prints[name].differing
            read = partial(_by_key, statements=statements, prints=prints[name], exact=exact)
            batches = _batches(((tenant, prints[name].rows_in(tenant)) for tenant in sorted(tenants)), BATCH_ROWS)
            shares += [(name, partial(read, tenants=batch)) for batch in batches]
        found = self._by_entity(shares)
        for name, statements in self._statements.items():
            refuse_unfound(name, prints[name], found[name], one_spelling=statements.one_spelling)
        return found

    def read_again(self, watched: Drift) -> Drift:
        shares: list[tuple[str, Task[dict[str, TrackedKeys]]]] = []
        for name, seen in watched.items():
            read = partial(drill_down, statements=self._statements[name], seen=seen)
            batches = _batches(((tenant, len(drifting.keys)) for tenant, drifting in sorted(seen.items())), BATCH_KEYS)
            shares += [(name, partial(read, tenants=batch)) for batch in batches]
        return self._by_entity(shares)

    def _by_entity(self, shares: list[tuple[str, Task[dict[str, TrackedKeys]]]]) -> Drift:
        found: Drift = {name: {} for name in self._statements}
        for (name, _), drifting in zip(shares, self._crew.run([task for _, task in shares]), strict=True):
            found[name] |= drifting
        return found

    def any_row(self, name: str, side: str) -> bool:
        return bool(self._session.query(self._statements[name].any_row(side), name)[0]["any_row"])

    def samples(self, name: str, drifting: dict[str, TrackedKeys], limit: int, *, with_values: bool) -> list[Sample]:
        return read_samples(self._session, self._statements[name], drifting, limit, with_values=with_values)


class _BothSides:
    """Where the sides of an entity meet: of a million tenants they are not held for longer than they have to."""

    def __init__(self, statements: EntityStatements, compared: Callable[[Fingerprints], None]) -> None:
        self.statements = statements
        self._compared = compared
        self._lock, self._found = threading.Lock(), dict[str, SideFingerprints]()

    def add(self, side: str, found: SideFingerprints) -> None:
        """Take one side, from whatever thread; the second one is compared with the first."""
        with self._lock:
            self._found[side] = found
            if len(self._found) < len(SIDES):
                return
        source, target = (self._found.pop(each) for each in SIDES)
        self._compared(side_by_side(self.statements.entity.compare, source, target))


def _add_side(
    session: Session, both: _BothSides, side: str, sums: Sums, largest: sql.Identifier | None, rows: RowCount
) -> None:
    found = read_side(session, both.statements, side, sums, largest)
    rows.add(found.rows_in_all)
    both.add(side, found)


def _by_key(
    session: Session, statements: EntityStatements, tenants: list[str], prints: Fingerprints, *, exact: bool
) -> dict[str, TrackedKeys]:
    if exact or not statements.joinable:
        return drill_down(session, statements, tenants)
    found, unproven = join_sides(session, statements, tenants, prints)
    if unproven:
        found |= drill_down(session, statements, unproven)
    return found


def _batches(tenants: Iterable[tuple[str, int]], most: int) -> Iterator[list[str]]:
    """The tenants, each with its size, in batches of about that size at most."""
    batch: list[str] = []
    together = 0
    for tenant, size in tenants:
        batch.append(tenant)
        together += size
        if together >= most:
            yield batch
            batch, together = [], 0
    if batch:
        yield batch
