"""Each side in a database of its own: both read at the same time, their streams merged here in order.

The two have no common snapshot, so a dual write can be seen on one side alone: that is what the rechecks are for. The
mapping's joins stay inside their database, and the declared universe is read from the source.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property, partial
from itertools import chain
from typing import Any

from orgrecon_pipeline.compare.keys.merge_join import KeysApart, Row, fingerprints
from orgrecon_pipeline.compare.keys.samples import sample_of
from orgrecon_pipeline.compare.keys.tracked_keys import Drift, TrackedKeys
from orgrecon_pipeline.compare.lockable_tables import require_lockable
from orgrecon_pipeline.compare.preflight import (
    SIDES,
    agree,
    examine,
    only_examined,
    read_declared,
    refuse_elsewhere,
    unchanged,
)
from orgrecon_pipeline.compare.progress import RowCount
from orgrecon_pipeline.compare.result import SnapshotPair
from orgrecon_pipeline.compare.row_hash import RowHash
from orgrecon_pipeline.compare.scan.buckets import Buckets, accounts_for, buckets_for
from orgrecon_pipeline.compare.scan.fingerprints import Fingerprints, refuse_null_keys, refuse_unfound
from orgrecon_pipeline.compare.scan.side_scan import PLANNING
from orgrecon_pipeline.compare.self_test import run_self_test_across
from orgrecon_pipeline.compare.statements import EntityStatements, Which, canary, statements_of
from orgrecon_pipeline.domain.bounded_names import bounded_name
from orgrecon_pipeline.domain.evidence import KINDS, Sample
from orgrecon_pipeline.domain.mapping import MappingConfig
from orgrecon_pipeline.domain.tenant_names import TenantNames
from orgrecon_pipeline.postgres.int8_arrays import packed, together
from orgrecon_pipeline.postgres.session import CANCEL_AGAIN_SECONDS, EVERY_ROW, MANY_TENANTS_ROOM, Session
from orgrecon_pipeline.postgres.sql_files import Statement

# More than one, of which the self-test's keys leave some without drift.
_BUCKETS_TO_PROVE = 64
# Of a stream, at once.
_ROWS_HELD = 1_000


class TwoDatabases:
    """See :class:`~orgrecon_pipeline.compare.reader.Reader`."""

    def __init__(
        self, mapping: MappingConfig, source: Callable[[], Session], target: Callable[[], Session], digest: RowHash
    ) -> None:
        """Connect to both.

        Raises:
            CannotDecide: when that fails.
        """
        self.digest, self.rows = digest, RowCount()
        self._mapping = mapping
        with ExitStack() as undo:
            self._sessions = {}
            for side, connect in zip(SIDES, (source, target), strict=True):
                self._sessions[side] = connect()
                undo.callback(self._sessions[side].close)
            undo.pop_all()
        self._first: dict[str, dict[str, list[tuple[str, int]]]] = {}

    def close(self) -> None:
        for session in self._sessions.values():
            session.close()

    def examine(self) -> int:
        self._examined = {side: examine(session, self._mapping, (side,)) for side, session in self._sessions.items()}
        for side, session in self._sessions.items():
            require_lockable(session, self._examined[side])
        agree(self._examined["source"], self._examined["target"])
        if not self._hash_alike():
            self.digest = RowHash(native=False, seed=self.digest.seed)
        self.rows.expected = sum(examined.estimated_rows for examined in self._examined.values())
        return sum(len(examined.tables) for examined in self._examined.values())

    @contextmanager
    def snapshot(self) -> Iterator[SnapshotPair]:
        with ExitStack() as stack:
            identities = []
            for side, session in self._sessions.items():
                stack.enter_context(session.transaction(self._examined[side].lockable))
                identities.append(session.identify())
                refuse_elsewhere(identities[-1], self._examined[side], f"the connection to the {side}")
            yield SnapshotPair(*identities)

    def run_self_test(self, tenants: int) -> None:
        run_self_test_across(self._fingerprint, (self._keys, partial(self._keys, buckets=_BUCKETS_TO_PROVE)), self.digest)

    def unchanged(self) -> None:
        for side, session in self._sessions.items():
            unchanged(session, self._mapping, self._examined[side])

    def declared(self) -> TenantNames | None:
        return read_declared(self._sessions["source"], self._mapping.tenants)

    def fingerprints(self, tenants: int) -> dict[str, Fingerprints]:
        found = {}
        for name, statements in self._statements.items():
            found[name] = self._fingerprint(statements)
            refuse_null_keys(name, found[name])
        return found

    def first_read(self, prints: dict[str, Fingerprints], *, exact: bool) -> Drift:
        found = {
            name: self._read(name, prints[name].tenants) if exact else self._read_differing(name, prints[name])
            for name in self._statements
        }
        for name, statements in self._statements.items():
            refuse_unfound(name, prints[name], found[name], one_spelling=statements.one_spelling)
        return found

    def read_again(self, watched: Drift) -> Drift:
        return {name: self._read(name, tenants, seen=tenants) for name, tenants in watched.items()}

    def any_row(self, name: str, side: str) -> bool:
        return bool(self._sessions[side].query(self._statements[name].any_row(side), name)[0]["any_row"])

    def samples(self, name: str, drifting: dict[str, TrackedKeys], limit: int, *, with_values: bool) -> list[Sample]:
        chosen = [(tenant, kind, key) for kind in KINDS for tenant, key in self._first[name][kind][:limit]]
        if not chosen:
            return []
        wanted: dict[str, Any] = {
            "tenants": sorted({tenant for tenant, _, _ in chosen}), "seen_keys": packed(key for _, _, key in chosen)}
        statements = self._statements[name]
        keys: dict[int, list[str]] = {}
        texts: dict[str, dict[int, list[list[str | None]]]] = {side: {} for side in SIDES}
        for side, session in self._sessions.items():
            of_side = {**wanted, "tenants": session.expressible(wanted["tenants"])}
            for row in session.query(statements.side_texts(side), name, of_side):
                keys[row["key_digest"]] = row["key"]
                texts[side].setdefault(row["key_digest"], []).append(row["texts"])
        samples = []
        for tenant, kind, key in chosen:
            values = {
                column: (_copies(texts["source"], key, place), _copies(texts["target"], key, place))
                for place, column in enumerate(statements.entity.compare)
            }
            differing = {column: both for column, both in values.items() if both[0] != both[1]}
            samples.append(sample_of(statements, tenant, kind, keys[key], differing, with_values=with_values))
        return sorted(samples, key=lambda sample: (sample.tenant, list(sample.key.values()), sample.kind))

    @cached_property
    def _statements(self) -> dict[str, EntityStatements]:
        return statements_of(self._mapping, self._examined["source"].types, self.digest)

    def _hash_alike(self) -> bool:
        answers = []
        for session in self._sessions.values():
            with session.transaction():
                answers.append(session.query(canary(self.digest), "hashing a canary row"))
        return answers[0] == answers[1]

    def _read_differing(self, name: str, prints: Fingerprints) -> dict[str, TrackedKeys]:
        if buckets := buckets_for(prints):
            found = self._read(name, prints.differing, buckets=buckets)
            if accounts_for(found, prints):
                return found
        return self._read(name, prints.differing)

    def _read(
        self, name: str, tenants: Iterable[str], *, seen: dict[str, TrackedKeys] | None = None, buckets: int = 0
    ) -> dict[str, TrackedKeys]:
        if not (tenants := sorted(tenants)):
            self._first[name] = {kind: [] for kind in KINDS}
            return {}
        found, self._first[name] = self._keys(
            self._statements[name], tenants, seen=seen, buckets=buckets, limit=self._mapping.report.sample_keys)
        return found

    def _fingerprint(self, statements: EntityStatements) -> Fingerprints:
        def statement(side: str) -> Statement:
            return statements.side_fingerprint(side, self._examined[side].largest)

        with self._planned(PLANNING, MANY_TENANTS_ROOM), self._streams(statements.name, statement, {}) as both:
            return fingerprints(*both, statements.entity.compare, self.rows.add)

    def _apart(self, statements: EntityStatements, tenants: list[str], count: int) -> Buckets:
        def statement(side: str) -> Statement:
            return statements.side_buckets(side, self._examined[side].largest)

        wanted = {"tenants": tenants, "mask": count - 1}
        with self._planned(PLANNING, MANY_TENANTS_ROOM), self._streams(statements.name, statement, wanted) as both:
            return Buckets.apart(count, *both)

    def _keys(
        self, statements: EntityStatements, tenants: list[str], *, seen: dict[str, TrackedKeys] | None = None,
        buckets: int = 0, limit: int = 0,
    ) -> tuple[dict[str, TrackedKeys], dict[str, list[tuple[str, int]]]]:
        """Drift by tenant, and the first few keys of each kind; with ``buckets``, by way of so many."""
        which, wanted = Which.EVERY, dict[str, Any](tenants=tenants)
        if seen is not None:
            which, wanted["seen_keys"] = Which.SEEN, together(drifting.keys for drifting in seen.values())
        elif buckets:
            which, wanted = Which.IN_BUCKETS, wanted | self._apart(statements, tenants, buckets).parameters()
        apart = KeysApart(seen, limit)
        statement = partial(statements.side_keys, which=which)
        with self._planned(EVERY_ROW if buckets else {}), self._streams(statements.name, statement, wanted) as both:
            return apart.collect(*both), apart.first

    @contextmanager
    def _planned(self, settings: dict[str, str], room: str | None = None) -> Iterator[None]:
        with ExitStack() as stack:
            for session in self._sessions.values():
                stack.enter_context(session.planned(settings, room))
            yield

    @contextmanager
    def _streams(
        self, name: str, statement: Callable[[str], Statement], parameters: dict[str, Any]
    ) -> Iterator[tuple[Iterator[Row], Iterator[Row]]]:
        """The rows of a statement of each side, which both databases work at together."""
        streams = {
            side: session.stream(statement(side), f"{name}.{side}", {
                **parameters, "tenants": session.expressible(parameters.get("tenants", ()))}, held=_ROWS_HELD)
            for side, session in self._sessions.items()
        }
        try:
            begun = self._begun(streams)
            source, target = (chain(begun[side], streams[side]) for side in SIDES)
            yield source, target
        finally:
            # A stream that nobody reads to its end holds its connection, and whoever would roll back waits for it.
            for rows in streams.values():
                with suppress(ValueError):  # a thread still waits for its first row, which the cancel will end
                    rows.close()
        for side, session in self._sessions.items():
            only_examined(session, self._examined[side])

    def _begun(self, streams: dict[str, Generator[Row, None, None]]) -> dict[str, list[Row]]:
        """The first row of each stream, if there is one."""
        with ThreadPoolExecutor(max_workers=len(SIDES)) as pool:
            firsts = {side: pool.submit(next, rows, None) for side, rows in streams.items()}
            try:
                wait(firsts.values(), return_when=FIRST_EXCEPTION)
                failed = next((each for each in firsts.values() if each.done() and each.exception()), None)
                if failed is not None:
                    failed.result()
            except BaseException:
                while wait(firsts.values(), timeout=CANCEL_AGAIN_SECONDS).not_done:
                    for side, first in firsts.items():
                        if not first.done():
                            self._sessions[side].cancel()
                raise
            return {side: [row] if (row := first.result()) else [] for side, first in firsts.items()}


def _copies(texts: dict[int, list[list[str | None]]], key: int, place: int) -> str | None:
    """The values of one column in all copies of a key, as one text."""
    values = [row[place] for row in texts.get(key, [])]
    if values == [None]:
        return None
    return bounded_name(" | ".join(sorted("NULL" if value is None else value for value in values)))
