"""Reader of two databases that hold one side each: both are read concurrently, and their sorted streams are merged.

Two databases have no common snapshot, so a dual write can be visible on one side only. The rechecks decide such keys.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from heapq import merge
from itertools import chain
from operator import itemgetter
from typing import Any

from orgrecon_pipeline.compare import preflight
from orgrecon_pipeline.compare.inspection import merge_warnings
from orgrecon_pipeline.compare.keys.buckets import Buckets, choose_bucket_count, explains_fingerprints
from orgrecon_pipeline.compare.keys.key_rows import KeyWithHash, keys_of_rows
from orgrecon_pipeline.compare.keys.key_streams import find_drift
from orgrecon_pipeline.compare.keys.tracked_keys import IN_FLUX, Drift, TrackedKeys
from orgrecon_pipeline.compare.queries.row_filter import RowFilter
from orgrecon_pipeline.compare.queries.row_hash import RowHash
from orgrecon_pipeline.compare.queries.statements import EntityStatements, hash_probe, statements_by_entity
from orgrecon_pipeline.compare.reader import Reader
from orgrecon_pipeline.compare.result import SnapshotPair
from orgrecon_pipeline.compare.scan.fingerprints import Fingerprints, merge_fingerprints, require_no_null_keys
from orgrecon_pipeline.compare.scan.merge_join import Row
from orgrecon_pipeline.compare.scan.side_scan import SCAN_SETTINGS, scan_settings
from orgrecon_pipeline.compare.self_test import run_self_test_across
from orgrecon_pipeline.domain.mapping import SIDES, MappingConfig
from orgrecon_pipeline.postgres.cancellation import as_completed, cancelled_on_error
from orgrecon_pipeline.postgres.identity import identify
from orgrecon_pipeline.postgres.int8_arrays import concatenate
from orgrecon_pipeline.postgres.session import CHUNK_ROWS, MANY_TENANTS_WORK_MEM, NO_NESTED_LOOPS, Session
from orgrecon_pipeline.postgres.sql_files import Statement

# So many that some buckets hold no drifting key of the self-test.
_SELF_TEST_BUCKETS = 64


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
            yield SnapshotPair(*identities)

    def run_self_test(self, tenants: int) -> None:
        def find_keys(statements: EntityStatements, names: list[str], buckets: int) -> dict[str, TrackedKeys]:
            return self._find_keys(statements, names, buckets=buckets)

        methods = [partial(find_keys, buckets=buckets) for buckets in (0, _SELF_TEST_BUCKETS)]
        run_self_test_across(self._scan, methods, self.row_hash, self.distributed)

    def require_unchanged(self) -> None:
        for side, session in self.sessions.items():
            preflight.require_unchanged(session, self.mapping, self._preflights[side])

    def _read_fingerprints(
        self, statements: Mapping[str, EntityStatements], tenants: int
    ) -> dict[str, Fingerprints]:
        fingerprints = {}
        for name, of_entity in statements.items():
            fingerprints[name] = self._scan(of_entity)
            require_no_null_keys(name, fingerprints[name])
        return fingerprints

    def _find_drift(self, fingerprints: dict[str, Fingerprints], *, exact: bool) -> Drift:
        return {name: self._read(name, of_entity.tenants) if exact else self._read_differing(name, of_entity)
                for name, of_entity in fingerprints.items()}

    def _recheck(self, tracked: Drift) -> Drift:
        return {name: self._read(name, tenants, tracked=tenants) for name, tenants in tracked.items()}

    def read_keys(self, name: str, drift: dict[str, TrackedKeys]) -> Iterator[KeyWithHash]:
        if not drift:
            return
        statements = self.statements[name]
        by_side = {side: statements.key_rows((side,)) for side in SIDES}
        parameters = {"tenants": sorted(drift), "tracked_keys": concatenate(keys.keys for keys in drift.values())}
        with self._streams(name, by_side, parameters, {}) as streams:
            yield from keys_of_rows(statements, merge(*streams, key=itemgetter(0)))

    def _servers_hash_equally(self) -> bool:
        answers = []
        for session in self.sessions.values():
            with session.transaction():
                answers.append(session.query(hash_probe(self.row_hash), "hashing a fixed row"))
        return answers[0] == answers[1]

    def _read_differing(self, name: str, fingerprints: Fingerprints) -> dict[str, TrackedKeys]:
        if buckets := choose_bucket_count(fingerprints.differing.values()):
            drift = self._read(name, fingerprints.differing, buckets=buckets)
            if explains_fingerprints(drift, fingerprints):
                return drift
        return self._read(name, fingerprints.differing)

    def _read(
        self, name: str, tenants: Iterable[str], *, tracked: dict[str, TrackedKeys] | None = None, buckets: int = 0
    ) -> dict[str, TrackedKeys]:
        if not (tenants := sorted(tenants)):
            return {}
        return self._find_keys(self.statements[name], tenants, tracked=tracked, buckets=buckets)

    def _scan(self, statements: EntityStatements) -> Fingerprints:
        largest = {side: None if self.only else self._preflights[side].largest_table for side in SIDES}
        by_side = {side: statements.side_stream(side, largest[side]) for side in SIDES}
        with self._streams(statements.name, by_side, {}, scan_settings(statements), MANY_TENANTS_WORK_MEM) as streams:
            return merge_fingerprints(*streams, statements.entity.compare, self.rows.add)

    def _find_differing_buckets(self, statements: EntityStatements, tenants: list[str], count: int) -> Buckets:
        by_side = {side: statements.side_buckets(side, self._preflights[side].largest_table) for side in SIDES}
        parameters = {"tenants": tenants, "mask": count - 1}
        with self._streams(statements.name, by_side, parameters, SCAN_SETTINGS, MANY_TENANTS_WORK_MEM) as streams:
            return Buckets.differing(count, *streams)

    def _find_keys(
        self, statements: EntityStatements, tenants: list[str], *, tracked: dict[str, TrackedKeys] | None = None,
        buckets: int = 0,
    ) -> dict[str, TrackedKeys]:
        """Return the drift by tenant.

        Args:
            tracked: the keys to which the result is restricted; None for all keys. If keys are respellable, other keys
                of their tenants are returned too, as in flux.
            buckets: the number of buckets to find out which keys must be read; 0 to read all keys.
        """
        parameters = dict[str, Any](tenants=tenants)
        only_tracked = tracked is not None and not statements.respellable_keys
        if tracked is not None and only_tracked:
            parameters["tracked_keys"] = concatenate(keys.keys for keys in tracked.values())
        elif buckets:
            parameters |= self._find_differing_buckets(statements, tenants, buckets).parameters()
        by_side = {side: statements.side_keys(side, tracked=only_tracked, in_buckets=bool(buckets))
                   for side in SIDES}
        settings = NO_NESTED_LOOPS if buckets else {}
        with self._streams(statements.name, by_side, parameters, settings) as streams:
            return find_drift(*streams, tracked, untracked=IN_FLUX if statements.respellable_keys else None)

    @contextmanager
    def _streams(
        self, name: str, statements: Mapping[str, Statement], parameters: dict[str, Any], settings: dict[str, str],
        work_mem: str | None = None,
    ) -> Iterator[tuple[Iterator[Row], Iterator[Row]]]:
        """Yield the rows of each side's statement. Both databases run their statements concurrently."""
        with ExitStack() as stack:
            for session in self.sessions.values():
                stack.enter_context(session.planner_settings(settings, work_mem))
            streams = {
                side: session.stream(statements[side], f"{name}.{side}", {
                    **parameters, "tenants": session.encoding.expressible(parameters.get("tenants", ()))},
                    chunk=CHUNK_ROWS)
                for side, session in self.sessions.items()}
            try:
                first_rows = self._first_rows(streams)
                source, target = (chain(first_rows[side], streams[side]) for side in SIDES)
                yield source, target
            finally:
                # A stream that is not read to its end occupies its connection, and a rollback would wait for it.
                for rows in streams.values():
                    with suppress(ValueError):  # a thread still waits for the first row; the cancellation ends that
                        rows.close()
            for side, session in self.sessions.items():
                preflight.require_only_locked_tables(session, self._preflights[side])

    def _first_rows(self, streams: dict[str, Generator[Row, None, None]]) -> dict[str, list[Row]]:
        """Start all streams, and return the first row of each; an empty list if it has none."""
        with ThreadPoolExecutor(max_workers=len(SIDES)) as pool:
            futures = {side: pool.submit(next, rows, None) for side, rows in streams.items()}

            def cancel() -> None:
                for side, future in futures.items():
                    if not future.done():
                        self.sessions[side].cancel()

            with cancelled_on_error(futures.values(), cancel):
                for future in as_completed(futures.values()):
                    future.result()
            return {side: [row] if (row := future.result()) else [] for side, future in futures.items()}
