"""Reader of two databases that hold one side each: both are read concurrently, and their sorted streams are merged.

Two databases have no common snapshot, so a dual write can be visible on one side only. The rechecks decide such keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from heapq import merge
from operator import itemgetter
from typing import Any

from psycopg import sql

from orgrecon_pipeline.compare import preflight
from orgrecon_pipeline.compare.inspection import merge_warnings
from orgrecon_pipeline.compare.keys.buckets import Buckets, choose_bucket_count, explains_fingerprints
from orgrecon_pipeline.compare.keys.key_rows import KeyWithHash, keys_of_rows
from orgrecon_pipeline.compare.keys.key_streams import find_drift
from orgrecon_pipeline.compare.keys.portions import CHUNK_ROWS, Portions
from orgrecon_pipeline.compare.keys.recheck import EarlierReads
from orgrecon_pipeline.compare.keys.tracked_keys import IN_FLUX, Drift, TrackedKeys, merge_tenants
from orgrecon_pipeline.compare.keys.written_keys import split_written, still_drifting
from orgrecon_pipeline.compare.progress import RowCounter
from orgrecon_pipeline.compare.queries.row_filter import RowFilter
from orgrecon_pipeline.compare.queries.row_hash import RowHash
from orgrecon_pipeline.compare.queries.statements import EntityStatements, hash_probe, statements_by_entity
from orgrecon_pipeline.compare.reader import Reader
from orgrecon_pipeline.compare.result import SnapshotPair
from orgrecon_pipeline.compare.scan.both_sides import BothSides
from orgrecon_pipeline.compare.scan.fingerprints import Fingerprints, require_no_null_keys
from orgrecon_pipeline.compare.scan.side_scan import (
    SCAN_SETTINGS,
    SideFingerprints,
    choose_hash_sum,
    compare_sides,
    scan_side,
)
from orgrecon_pipeline.compare.self_test import run_self_test_across
from orgrecon_pipeline.domain.mapping.model import SIDES, MappingConfig
from orgrecon_pipeline.postgres.identity import identify
from orgrecon_pipeline.postgres.int8_arrays import concatenate
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.settings import RAISED_WORK_MEM

# So many that some buckets hold no drifting key of the self-test.
_SELF_TEST_BUCKETS = 64

# Reading all keys of so few rows takes as long as the scan of the buckets would.
_FEW_ROWS = 1_000_000
# If more of the buckets differ, reading all rows takes less than selecting by bucket.
_FEW_BUCKETS = 0.5


class TwoDatabases(Reader):
    """Reader of two databases."""

    def __init__(
        self, mapping: MappingConfig, open_source: Callable[[], Session], open_target: Callable[[], Session],
        row_hash: RowHash, only: RowFilter | None = None,
    ) -> None:
        """Connect to both databases."""
        super().__init__(mapping, {}, row_hash, only)
        with ExitStack() as stack:
            stack.callback(self.close)
            for side, open_session in zip(SIDES, (open_source, open_target), strict=True):
                self.sessions[side] = open_session()
            stack.pop_all()
        self._both = BothSides(self.sessions, lambda side: preflight.require_only_locked_tables(
            self.sessions[side], self._preflights[side]))

    def run_preflight(self) -> int:
        self._preflights = {
            side: preflight.run_preflight(session, self.mapping, (side,)) for side, session in self.sessions.items()}
        for side, session in self.sessions.items():
            preflight.require_lockable(session, self._preflights[side])
        preflight.require_comparable(self.sessions, self.mapping, self._preflights)
        if not self._servers_hash_equally():
            self.row_hash = RowHash(native=False, seed=self.row_hash.seed)
        self.statements = statements_by_entity(
            self.mapping, self._preflights["source"].types, self.row_hash, self.only, distributed=self.distributed)
        self.warnings = merge_warnings({side: result.warnings for side, result in self._preflights.items()})
        self.opaque_functions = any(result.opaque_functions for result in self._preflights.values())
        self.rows.expected = sum(result.estimated_rows for result in self._preflights.values())
        return sum(len(result.tables) for result in self._preflights.values())

    @contextmanager
    def snapshot(self) -> Iterator[SnapshotPair]:
        with ExitStack() as stack:
            identities = []
            for side, session in self.sessions.items():
                stack.enter_context(session.transaction(self._preflights[side].lockable))
                identities.append(identify(session))
                preflight.require_same_database(identities[-1], self._preflights[side], f"the connection to the {side}")
            self._row_writes.count((session, self._preflights[side]) for side, session in self.sessions.items())
            yield SnapshotPair(*identities)

    def run_self_test(self, tenants: int) -> None:
        def find_keys(statements: EntityStatements, names: list[str], buckets: int) -> dict[str, TrackedKeys]:
            return self._find_keys(
                statements, names, rows=0, largest_tenant=buckets * CHUNK_ROWS, buckets=buckets, large=True)

        self._hash_sum, self._all_tenants = choose_hash_sum(tenants), 0
        methods = [partial(find_keys, buckets=buckets) for buckets in (0, _SELF_TEST_BUCKETS)]
        run_self_test_across(
            self._scan, methods, lambda reading, side: reading.read(self.sessions[side], side, None), self.row_hash,
            self.distributed)

    def require_unchanged(self) -> None:
        for side, session in self.sessions.items():
            preflight.require_unchanged(session, self.mapping, self._preflights[side])

    def _read_fingerprints(
        self, statements: Mapping[str, EntityStatements], tenants: int
    ) -> dict[str, Fingerprints]:
        self._hash_sum, self._all_tenants = choose_hash_sum(tenants), self._tenants_of_joins(tenants)
        fingerprints = {}
        for name, of_entity in statements.items():
            fingerprints[name] = self._scan(of_entity, counter=self.rows)
            require_no_null_keys(name, fingerprints[name])
        return fingerprints

    def _find_drift(self, fingerprints: dict[str, Fingerprints], *, exact: bool) -> Drift:
        self._exact = exact
        self._earlier = {name: EarlierReads(of_entity) for name, of_entity in fingerprints.items()}
        return {name: self._read(name, of_entity.tenants) if exact else self._read_differing(name, of_entity)
                for name, of_entity in fingerprints.items()}

    def _recheck(self, tracked: Drift) -> Drift:
        drift: Drift = {}
        for name, tenants in tracked.items():
            drift[name], changed = {}, list(tenants)
            if self._exact or self._reads_keys_at_once(name, tenants):
                self._earlier[name].forget(tenants)
            else:
                drift[name], changed = self._scan_again(name, tenants)
            drift[name] |= self._read_changed(name, {tenant: tenants[tenant] for tenant in changed})
        return drift

    def _read_changed(self, name: str, tracked: dict[str, TrackedKeys]) -> dict[str, TrackedKeys]:
        """Return the tracked keys that still drift."""
        if not tracked or self._exact or not self.statements[name].traceable_keys:
            return self._read(name, tracked, tracked=tracked)
        reading = self._earlier[name].written_keys(self.statements[name], tracked)
        source, target = self._both.run(lambda side: reading.read(
            self.sessions[side], side, self._largest_table(side), f"{name}.{side}"))
        unwritten, written = split_written(tracked, source, target)
        return merge_tenants(unwritten, still_drifting(written, source, target))

    def _scan_again(self, name: str, tracked: dict[str, TrackedKeys]) -> tuple[dict[str, TrackedKeys], list[str]]:
        """Return the keys of the tenants without a changed row, and the tenants that must be read by key."""
        if not tracked:
            return {}, []
        earlier = self._earlier[name]
        fingerprints = self._scan(
            self.statements[name], earlier.to_scan(tracked), large=self._is_large(name, tracked))
        return earlier.unchanged(tracked, fingerprints)

    def _is_large(self, name: str, tenants: Iterable[str]) -> bool:
        """Return whether the rows of these tenants are better read by a scan than through an index."""
        earlier = self._earlier[name]
        return self.only is None and earlier.extent.is_large(earlier.rows_of(tenants))

    def read_keys(self, name: str, drift: dict[str, TrackedKeys]) -> Iterator[KeyWithHash]:
        if not drift:
            return
        statements = self.statements[name]
        by_side = {side: statements.key_rows((side,)) for side in SIDES}
        parameters = {"tenants": sorted(drift), "tracked_keys": concatenate(keys.keys for keys in drift.values())}
        with self._both.streams(name, by_side, parameters, {}, RAISED_WORK_MEM) as streams:
            yield from keys_of_rows(statements, merge(*streams, key=itemgetter(0)))

    def _servers_hash_equally(self) -> bool:
        answers = []
        for session in self.sessions.values():
            with session.transaction():
                answers.append(session.query(hash_probe(self.row_hash), "hashing a fixed row"))
        return answers[0] == answers[1]

    def _read_differing(self, name: str, fingerprints: Fingerprints) -> dict[str, TrackedKeys]:
        if buckets := choose_bucket_count(fingerprints.differing.values(), _FEW_ROWS):
            drift = self._read(name, fingerprints.differing, buckets=buckets)
            if explains_fingerprints(drift, fingerprints):
                return drift
        return self._read(name, fingerprints.differing)

    def _read(
        self, name: str, tenants: Iterable[str], *, tracked: dict[str, TrackedKeys] | None = None, buckets: int = 0,
    ) -> dict[str, TrackedKeys]:
        if not (tenants := sorted(tenants)):
            return {}
        return self._find_keys(
            self.statements[name], tenants, self._earlier[name].rows_of(tenants), tracked=tracked, buckets=buckets,
            largest_tenant=self._earlier[name].largest_tenant, large=self._is_large(name, tenants))

    def _scan(
        self, statements: EntityStatements, tenants: list[str] | None = None, *, large: bool = True,
        counter: RowCounter | None = None,
    ) -> Fingerprints:
        def scan(side: str) -> SideFingerprints:
            scanned = scan_side(self.sessions[side], statements, side, self._hash_sum,
                                self._largest_table(side, large=large), tenants, all_tenants=self._all_tenants,
                                action=f"{statements.name}.{side}")
            if counter:
                counter.add(scanned.total_rows)
            return scanned

        return compare_sides(statements.entity.compare, *self._both.run(scan))

    def _largest_table(self, side: str, *, large: bool = True) -> sql.Identifier | None:
        return self._preflights[side].largest_table if large and not self.only else None

    def _find_differing_buckets(self, statements: EntityStatements, tenants: list[str], count: int) -> Buckets:
        by_side = {side: statements.side_buckets(side, self._preflights[side].largest_table) for side in SIDES}
        parameters = {"tenants": tenants, "mask": count - 1}
        with self._both.streams(statements.name, by_side, parameters, SCAN_SETTINGS, RAISED_WORK_MEM) as streams:
            return Buckets.differing(count, *streams)

    def _find_keys(
        self, statements: EntityStatements, tenants: list[str], rows: int, *, largest_tenant: int = 0,
        tracked: dict[str, TrackedKeys] | None = None, buckets: int = 0, large: bool,
    ) -> dict[str, TrackedKeys]:
        """Return the drift by tenant.

        Args:
            rows: the approximate number of rows of the tenants on both sides.
            largest_tenant: the approximate number of rows of the largest of them on one side.
            tracked: the keys to which the result is restricted; None for all keys. If keys are respellable, other keys
                of their tenants are returned too, as in flux.
            buckets: the number of buckets to find out which keys must be read; 0 to read all keys.
            large: whether to prefer scans to indexes.
        """
        parameters = dict[str, Any](tenants=tenants)
        in_buckets = False
        if buckets:
            differing = self._find_differing_buckets(statements, tenants, buckets)
            if in_buckets := differing.share <= _FEW_BUCKETS:
                parameters |= differing.parameters()
                rows = int(rows * differing.share)
        portions = Portions.of(len(tenants), rows, largest_tenant, large=large)
        by_side = {side: statements.side_keys(
            side, self._largest_table(side, large=large), in_buckets=in_buckets, in_chunks=portions.chunks > 1,
            sliced=portions.slices > 1) for side in SIDES}
        drift: dict[str, TrackedKeys] = {}
        for of_slice in portions.parameters():
            with self._both.streams(statements.name, by_side, parameters | of_slice, portions.settings,
                                    RAISED_WORK_MEM, chunk=portions.fetch) as streams:
                found = find_drift(*streams, tracked, untracked=IN_FLUX if statements.respellable_keys else None)
            drift = merge_tenants(drift, found)
        return drift
