"""Giving way: the application never waits for long behind a statement that waits for a comparison."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.compare.engine import compare
from orgrecon_pipeline.compare.result import SnapshotPair
from orgrecon_pipeline.domain.databases import UNSHARDED
from orgrecon_pipeline.domain.errors import DayRefused
from orgrecon_pipeline.domain.evidence import Observation, Verdict
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.operations.doctor import diagnose
from orgrecon_pipeline.postgres.locks import give_way
from orgrecon_pipeline.postgres.locks.watch import WATCH_NAME, LockWatch
from orgrecon_pipeline_tests.support.operations.concurrency import (
    BackgroundObservation,
    InBackground,
    blocked_backends,
    hold_scans,
    wait_until,
)
from orgrecon_pipeline_tests.support.operations.shards import make_two_databases
from orgrecon_pipeline_tests.support.operations.site import READER, Site, fast_mapping

Connect = Callable[[str], psycopg.Connection[Any]]

YIELD_SECONDS = 0.5
# The promise is one second more than yield_seconds. A machine that is busy with other tests may need longer. Without
# giving way, the application would wait until the test fails.
LONGEST_WAIT = 4 * (YIELD_SECONDS + 1)

LOCK = "LOCK TABLE public.teams IN ACCESS EXCLUSIVE MODE"
MIGRATIONS = {
    "ALTER TABLE": "BEGIN; ALTER TABLE public.teams ADD COLUMN added text DEFAULT 'secret'; COMMIT",
    "DROP INDEX": "DROP INDEX public.teams_name",
    "VACUUM FULL": "VACUUM (FULL, ANALYZE) public.teams",
    "LOCK TABLE": f"BEGIN; {LOCK}; COMMIT",
    "REINDEX TABLE": "REINDEX TABLE public.teams",
    "CLUSTER": "CLUSTER public.teams USING teams_pkey",
}
TABLES = ("org_unit_memberships", "org_units", "team_members", "teams")
# Progress lines that are reported while a snapshot is open and no statement runs.
PHASES = ("fingerprints of both sides", "tenants by key", "drifting key")


class Application:
    """An application that reads a table all the time, and measures how long it waits."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.longest = 0.0
        self._connection, self._ended = connection, threading.Event()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read while the block runs."""
        thread = threading.Thread(target=self._read, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _read(self) -> None:
        while not self._ended.wait(0.005):
            started = time.monotonic()
            self._connection.execute("SELECT FROM public.teams LIMIT 1")
            self.longest = max(self.longest, time.monotonic() - started)


@pytest.fixture
def application(site: Site, connect: Connect) -> Application:
    site.run("CREATE INDEX teams_name ON public.teams (name)")
    return Application(connect(site.admin.info.dsn))


class Scan:
    """An observation whose first scan waits on the server until :meth:`finish` is called."""

    def __init__(
        self, site: Site, connect: Connect, database: psycopg.Connection[Any] | None = None, **scan: Any
    ) -> None:
        database = database or site.admin
        self._holder = connect(database.info.dsn)
        self._holder.execute("SELECT pg_advisory_lock(4711)")
        hold_scans(site, **{"yield_seconds": YIELD_SECONDS, **scan})
        self.lines: list[str] = []
        self._running = BackgroundObservation(site, progress=self.lines.append)
        wait_until(lambda: blocked_backends(database))

    def finish(self) -> Observation:
        self._holder.execute("SELECT pg_advisory_unlock(4711)")
        return self._running.result()


def watch_pid(admin: psycopg.Connection[Any]) -> int | None:
    row = admin.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s",
                        (WATCH_NAME,)).fetchone()
    return row[0] if row else None


@pytest.mark.parametrize("kind", MIGRATIONS)
def test_scan_gives_way_to_a_migration_and_then_completes(
    site: Site, connect: Connect, application: Application, kind: str
) -> None:
    before = site.observe()
    scan = Scan(site, connect)
    with application.reading():
        connect(site.admin.info.dsn).execute(MIGRATIONS[kind])  # ends only if the scan gives way
        after = scan.finish()
    assert (after.verdict, after.entities, after.compared["gave_way"]) == (Verdict.PASS, before.entities, 1)
    assert application.longest < LONGEST_WAIT
    # The role may not see the statement of another one.
    assert "giving way to a request for an ACCESS EXCLUSIVE lock on public.teams" in "\n".join(scan.lines)


@pytest.mark.parametrize("phase", PHASES)
def test_comparison_without_a_running_statement_gives_way(
    site: Site, connect: Connect, application: Application, phase: str
) -> None:
    """A cancel request has no effect then: the connection must be cut."""
    site.run("DELETE FROM public.team_members WHERE ctid = (SELECT min(ctid) FROM public.team_members)",
             f"GRANT pg_read_all_stats TO {READER}")
    site.mapping = fast_mapping(yield_seconds=YIELD_SECONDS)
    lines: list[str] = []

    def migrate(line: str) -> None:
        if phase in line and not any(phase in earlier for earlier in lines):
            connect(site.admin.info.dsn).execute(MIGRATIONS["ALTER TABLE"])
        lines.append(line)

    try:
        with application.reading():
            after = site.observe(progress=migrate)
    finally:
        site.run(f"REVOKE pg_read_all_stats FROM {READER}")
    assert (after.verdict, after.reason_parameters["drifting_keys"], after.compared["gave_way"]) == (Verdict.FAIL, 1, 1)
    assert application.longest < LONGEST_WAIT
    assert "giving way to ALTER TABLE (which needs an ACCESS EXCLUSIVE lock) on public.teams" in "\n".join(lines)
    assert "secret" not in "\n".join(lines)


@pytest.mark.parametrize("side", ["source", "target"])
def test_comparison_of_two_databases_gives_way_in_each(
    new_database: Callable[..., str], template: str, connect: Connect, tmp_path: Path, side: str
) -> None:
    source, target = new_database(template), new_database(template)
    two = make_two_databases(connect(source), source, connect(target), target, tmp_path)
    database, table = (two.admin, "teams") if side == "source" else (two.target_admin, "org_units")
    scan = Scan(two, connect, database)
    connect(database.info.dsn).execute(f"BEGIN; LOCK TABLE public.{table} IN ACCESS EXCLUSIVE MODE; COMMIT")
    after = scan.finish()
    assert (after.verdict, after.compared["gave_way"]) == (Verdict.PASS, 1)


def test_migrations_until_the_deadline_are_inconclusive(
    site: Site, connect: Connect, application: Application
) -> None:
    scan = Scan(site, connect, deadline_seconds=4.0, yield_seconds=0.2)
    ended = threading.Event()
    migration = connect(site.admin.info.dsn)

    def migrate() -> None:
        while not ended.is_set():
            migration.execute(MIGRATIONS["LOCK TABLE"])

    with application.reading():
        migrating = InBackground(migrate)
        wait_until(lambda: site.ledger.observations(site.context.clock.today()))
        ended.set()
        migrating.result()
        after = scan.finish()
    assert (after.verdict, after.reason_code) == (Verdict.INCONCLUSIVE, ReasonCode.GAVE_WAY)
    parameters = {**after.reason_parameters}
    assert parameters.pop("times") >= 1
    assert parameters.pop("detail") in after.reason
    assert parameters == {"statement": None, "mode": "ACCESS EXCLUSIVE", "table": "public.teams"}
    assert application.longest < LONGEST_WAIT


@pytest.mark.parametrize("moment", ["before the preflight checks", "before the snapshot"])
@pytest.mark.parametrize("first", TABLES)
def test_migration_that_locks_the_tables_in_another_order_is_no_victim_of_a_deadlock(
    site: Site, connect: Connect, first: str, moment: str
) -> None:
    """While the comparison waits for one table, it holds no other one for long."""
    site.mapping = fast_mapping(lock_timeout_seconds=60.0, yield_seconds=None)
    migration = connect(site.admin.info.dsn)
    # The deadlock would be found by the session that began to wait last.
    migration.execute("SET deadlock_timeout = '600ms'")

    def lock_first(line: str = "") -> None:
        if "preflight checks passed" in line or not line:
            migration.execute(f"BEGIN; LOCK TABLE public.{first} IN ACCESS EXCLUSIVE MODE")

    if moment == "before the preflight checks":
        lock_first()
        running = BackgroundObservation(site)
    else:
        running = BackgroundObservation(site, progress=lock_first)
    wait_until(lambda: blocked_backends(site.admin))
    for table in TABLES:
        migration.execute(f"LOCK TABLE public.{table} IN ACCESS EXCLUSIVE MODE")
    migration.execute("COMMIT")
    assert running.result().verdict is Verdict.PASS


def test_comparison_that_gave_way_is_admitted_again(site: Site, connect: Connect) -> None:
    """The day may have ended meanwhile."""
    mapping = fast_mapping(yield_seconds=YIELD_SECONDS)
    snapshots: list[SnapshotPair] = []

    def admit(snapshot: SnapshotPair) -> None:
        snapshots.append(snapshot)
        if len(snapshots) == 2:
            raise DayRefused("the day is over")
        connect(site.admin.info.dsn).execute(MIGRATIONS["LOCK TABLE"])

    with pytest.raises(DayRefused):
        compare(mapping, site.context.endpoints()[UNSHARDED], admit=admit)
    assert snapshots[0].source.observed_at < snapshots[1].source.observed_at


def test_migration_that_waits_with_yield_seconds_null_waits_for_the_scan(site: Site, connect: Connect) -> None:
    scan = Scan(site, connect, yield_seconds=None)
    migrating = InBackground(lambda: connect(site.admin.info.dsn).execute(MIGRATIONS["LOCK TABLE"]))
    wait_until(lambda: site.admin.execute(
        "SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'").fetchone())
    after = scan.finish()
    migrating.result()
    assert (after.verdict, after.compared.get("gave_way"), watch_pid(site.admin)) == (Verdict.PASS, None, None)


def test_watch_that_is_terminated_connects_again(site: Site, connect: Connect) -> None:
    scan = Scan(site, connect)
    first = wait_until(lambda: watch_pid(site.admin))
    site.admin.execute("SELECT pg_terminate_backend(%s)", (first,))
    wait_until(lambda: watch_pid(site.admin) not in (None, first))
    connect(site.admin.info.dsn).execute(MIGRATIONS["LOCK TABLE"])
    after = scan.finish()
    assert (after.verdict, after.compared["gave_way"], after.compared["warnings"]) == (Verdict.PASS, 1, [])


def test_watch_without_a_connection_slot_is_a_warning(
    site: Site, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    watches: list[LockWatch] = []

    class Recorded(LockWatch):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            watches.append(self)

    monkeypatch.setattr(give_way, "LockWatch", Recorded)
    try:
        site.run(f"ALTER ROLE {READER} CONNECTION LIMIT 1")
        scan = Scan(site, connect, workers=1)
        wait_until(lambda: watches[0].problem)
        after = scan.finish()
    finally:
        site.run(f"ALTER ROLE {READER} CONNECTION LIMIT -1")
    assert after.verdict is Verdict.PASS
    [warning] = after.compared["warnings"]
    assert (warning["code"], warning["names"]) == ("lock_queue_unwatched", ["DATABASE_URL"])
    assert "the server has no free connection slot" in warning["text"]


def test_doctor_gives_way(site: Site, connect: Connect) -> None:
    holder = connect(site.admin.info.dsn)
    holder.execute("SELECT pg_advisory_lock(4711)")
    hold_scans(site, yield_seconds=YIELD_SECONDS)
    checking = InBackground(lambda: diagnose(site.context))
    wait_until(lambda: blocked_backends(site.admin))
    connect(site.admin.info.dsn).execute(MIGRATIONS["LOCK TABLE"])
    holder.execute("SELECT pg_advisory_unlock(4711)")
    assert checking.result().ready  # type: ignore[attr-defined]
