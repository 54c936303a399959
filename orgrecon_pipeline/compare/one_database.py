"""Reader of one database that holds both sides: the server compares them in one snapshot."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from psycopg import sql

from orgrecon_pipeline.compare import preflight
from orgrecon_pipeline.compare.keys.drilldown import drill_down
from orgrecon_pipeline.compare.keys.key_rows import KeyWithHash, keys_of_rows
from orgrecon_pipeline.compare.keys.recheck import EarlierReads, batches_of_keys, find_drift, in_batches
from orgrecon_pipeline.compare.keys.tracked_keys import Drift, TrackedKeys, merge_drift, merge_tenants
from orgrecon_pipeline.compare.keys.written_keys import Written, split_written, still_drifting
from orgrecon_pipeline.compare.progress import RowCounter
from orgrecon_pipeline.compare.queries.row_filter import RowFilter
from orgrecon_pipeline.compare.queries.row_hash import RowHash
from orgrecon_pipeline.compare.queries.statements import EntityStatements, statements_by_entity
from orgrecon_pipeline.compare.reader import Reader
from orgrecon_pipeline.compare.result import SnapshotPair
from orgrecon_pipeline.compare.scan.fingerprints import Fingerprints, require_no_null_keys
from orgrecon_pipeline.compare.scan.side_scan import SideFingerprints, choose_hash_sum, compare_sides, scan_side
from orgrecon_pipeline.compare.self_test import run_self_test
from orgrecon_pipeline.domain.mapping.model import SIDES, MappingConfig
from orgrecon_pipeline.postgres.int8_arrays import concatenate
from orgrecon_pipeline.postgres.session import CHUNK_ROWS, Session
from orgrecon_pipeline.postgres.settings import RAISED_WORK_MEM
from orgrecon_pipeline.postgres.snapshot_pool import SnapshotPool, Task

# Rows of both sides per statement. Larger statements need temporary files on the server.
BATCH_ROWS = 20_000_000

#: Entity of a task, and the task that finds its drift in some tenants.
_DriftTask = tuple[str, Task[dict[str, TrackedKeys]]]


class OneDatabase(Reader):
    """Reader of one database."""

    def __init__(
        self, mapping: MappingConfig, open_session: Callable[[], Session], row_hash: RowHash,
        only: RowFilter | None = None,
    ) -> None:
        """Connect."""
        self._session = open_session()
        super().__init__(mapping, dict.fromkeys(SIDES, self._session), row_hash, only)
        self._pool = SnapshotPool(self._session, open_session, mapping.scan.workers)

    def run_preflight(self) -> int:
        self._preflight = preflight.run_preflight(self._session, self.mapping)
        preflight.require_lockable(self._session, self._preflight)
        self.statements = statements_by_entity(
            self.mapping, self._preflight.types, self.row_hash, self.only, distributed=self.distributed)
        self.rows.expected, self.warnings = self._preflight.estimated_rows, self._preflight.warnings
        self.opaque_functions = self._preflight.opaque_functions
        return len(self._preflight.tables)

    @contextmanager
    def snapshot(self) -> Iterator[SnapshotPair]:
        inspect = partial(preflight.require_only_locked_tables, preflight=self._preflight)
        with self._pool.transaction(self._preflight.lockable, inspect) as identity:
            preflight.require_same_database(identity, self._preflight, "the connection")
            self._row_writes.count([(self._session, self._preflight)])
            yield SnapshotPair(identity, identity)

    def run_self_test(self, tenants: int) -> None:
        run_self_test(self._session, self.row_hash, choose_hash_sum(tenants))

    def require_unchanged(self) -> None:
        preflight.require_unchanged(self._session, self.mapping, self._preflight)

    def _read_fingerprints(
        self, statements: Mapping[str, EntityStatements], tenants: int
    ) -> dict[str, Fingerprints]:
        self._scan_side = partial(
            scan_side, hash_sum=choose_hash_sum(tenants), all_tenants=self._tenants_of_joins(tenants))
        fingerprints = self._scan({
            name: _EntityScan(partial(self._scan_side, largest_table=self._largest_table), of_entity, self.rows)
            for name, of_entity in statements.items()})
        for name, scanned in fingerprints.items():
            require_no_null_keys(name, scanned)
        return fingerprints

    def _find_drift(self, fingerprints: dict[str, Fingerprints], *, exact: bool) -> Drift:
        self._exact = exact
        self._earlier = {name: EarlierReads(of_entity) for name, of_entity in fingerprints.items()}
        tasks: list[_DriftTask] = []
        for name, statements in self.statements.items():
            of_entity = fingerprints[name]
            find = partial(drill_down, statements=statements) if exact else partial(
                find_drift, statements=statements, fingerprints=of_entity, extent=of_entity.extent,
                largest_table=self._largest_table)
            batches = _batches_of_rows(of_entity, of_entity.tenants if exact else of_entity.differing)
            tasks += [(name, partial(find, tenants=batch)) for batch in batches]
        return self._run(tasks)

    def _recheck(self, tracked: Drift) -> Drift:
        if self._exact:
            return self._group(tracked)
        scanned = self._scan_again({
            name: tenants for name, tenants in tracked.items()
            if tenants and not self._reads_keys_at_once(name, tenants)})
        unchanged, changed = dict[str, dict[str, TrackedKeys]](), dict[str, dict[str, TrackedKeys]]()
        for name, keys in tracked.items():
            earlier, selected = self._earlier[name], list(keys)
            if name in scanned:
                unchanged[name], selected = earlier.unchanged(keys, scanned[name])
            else:
                earlier.forget(keys)
            changed[name] = {tenant: keys[tenant] for tenant in selected}
        return merge_drift(unchanged, self._read_changed(changed))

    def read_keys(self, name: str, drift: dict[str, TrackedKeys]) -> Iterator[KeyWithHash]:
        statements = self.statements[name]
        for batch in batches_of_keys(drift, sorted(drift)):
            parameters = {"tenants": batch, "tracked_keys": concatenate(drift[tenant].keys for tenant in batch)}
            with self._session.planner_settings({}, RAISED_WORK_MEM):
                rows = self._session.stream(statements.key_rows(SIDES), name, parameters, chunk=CHUNK_ROWS)
                yield from keys_of_rows(statements, rows)

    @property
    def _largest_table(self) -> sql.Identifier | None:
        return None if self.only else self._preflight.largest_table

    def _read_changed(self, tracked: Drift) -> Drift:
        """Return the tracked keys that still drift, by reading their rows, or by grouping what that cannot decide."""
        batches, tasks = list[tuple[str, dict[str, TrackedKeys]]](), list[Task[Written]]()
        for name, tenants in tracked.items():
            if self.statements[name].traceable_keys:
                sizes = ((tenant, self._earlier[name].rows_of((tenant,))) for tenant in sorted(tenants))
                batches += [(name, {tenant: tenants[tenant] for tenant in batch})
                            for batch in in_batches(sizes, BATCH_ROWS)]
        for name, keys in batches:
            read = self._earlier[name].written_keys(self.statements[name], keys).read
            tasks += [partial(read, side=side, largest_table=self._largest_table) for side in SIDES]
        drift: Drift = {name: {} for name in tracked}
        to_group = {name: {} if self.statements[name].traceable_keys else keys for name, keys in tracked.items()}
        results = iter(self._pool.run(tasks))
        for (name, keys), source, target in zip(batches, results, results, strict=True):
            unwritten, written = split_written(keys, source, target)
            drift[name] |= unwritten
            if self.statements[name].consistent_row_hash:
                drift[name] = merge_tenants(drift[name], still_drifting(written, source, target))
            else:
                to_group[name] |= written
        return merge_drift(drift, self._group(to_group))

    def _group(self, tracked: Drift) -> Drift:
        """Return the tracked keys that still drift, by grouping the rows of their tenants."""
        return self._run([
            (name, partial(drill_down, statements=self.statements[name], tenants=batch, tracked=tenants))
            for name, tenants in tracked.items() for batch in batches_of_keys(tenants, sorted(tenants))])

    def _scan_again(self, tracked: Drift) -> dict[str, Fingerprints]:
        """Scan the tenants of the tracked keys."""
        scans = {}
        for name, tenants in tracked.items():
            earlier = self._earlier[name]
            large = earlier.extent.is_large(earlier.rows_of(tenants))
            scan = partial(self._scan_side, largest_table=self._largest_table if large else None,
                           tenants=earlier.to_scan(tenants))
            scans[name] = _EntityScan(scan, self.statements[name])
        return self._scan(scans)

    def _scan(self, scans: dict[str, _EntityScan]) -> dict[str, Fingerprints]:
        self._pool.run([partial(scan.scan_side, side=side) for scan in scans.values() for side in SIDES], scans=True)
        return {name: scan.fingerprints for name, scan in scans.items()}

    def _run(self, tasks: list[_DriftTask]) -> Drift:
        drift: Drift = {name: {} for name in self.statements}
        for (name, _), tenants in zip(tasks, self._pool.run([task for _, task in tasks]), strict=True):
            drift[name] |= tenants
        return drift


class _EntityScan:
    """Scan of an entity. The sides are compared as soon as both are scanned, to keep them in memory only briefly."""

    fingerprints: Fingerprints

    def __init__(
        self, scan: Callable[..., SideFingerprints], statements: EntityStatements, counter: RowCounter | None = None
    ) -> None:
        self._scan, self._statements, self._counter = scan, statements, counter
        self._lock, self._sides = threading.Lock(), dict[str, SideFingerprints]()

    def scan_side(self, session: Session, side: str) -> None:
        """Scan one side. The last scan sets ``fingerprints``."""
        scanned = self._scan(session, self._statements, side)
        if self._counter:
            self._counter.add(scanned.total_rows)
        with self._lock:
            self._sides[side] = scanned
            if len(self._sides) < len(SIDES):
                return
        source, target = (self._sides.pop(side) for side in SIDES)
        self.fingerprints = compare_sides(self._statements.entity.compare, source, target)


def _batches_of_rows(fingerprints: Fingerprints, tenants: Iterable[str]) -> Iterator[list[str]]:
    sizes = ((tenant, fingerprints.rows_of(tenant).total) for tenant in sorted(tenants))
    return in_batches(sizes, BATCH_ROWS)
