"""Faults during a comparison: the verdict is INCONCLUSIVE with a one-line reason, and no session is left open."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.evidence import EntityTotals, Observation, Verdict
from orgrecon_pipeline_tests.support.operations.concurrency import (
    BackgroundObservation,
    InBackground,
    blocked_backends,
    hold_scans,
    open_sessions,
    wait_until,
)
from orgrecon_pipeline_tests.support.operations.site import READER, Site, fast_mapping, make_site

Connect = Callable[[str], psycopg.Connection[Any]]


def assert_nothing_decided(site: Site, after: Observation, words: str) -> None:
    """Check that the observation is INCONCLUSIVE and complete, and that the earlier PASS still decides the day."""
    assert after.verdict is Verdict.INCONCLUSIVE, after.reason
    assert words in after.reason, after.reason
    assert "\n" not in after.reason
    assert set(after.entities.values()) == {EntityTotals.unknown()}
    before, stored = site.ledger.observations(after.day)
    assert (before.verdict, stored) == (Verdict.PASS, after)
    assert site.ledger.deciding(after.day, "latest") == before
    assert site.ledger.samples(after.id) == []
    assert site.ledger.breakdown(after.id, 100) == []


@pytest.fixture
def lock_holder(site: Site, connect: Connect) -> psycopg.Connection[Any]:
    """Observe a PASS, then return a session that holds the lock for which the next scan waits."""
    assert site.observe().verdict is Verdict.PASS
    holder = connect(site.admin.info.dsn)
    holder.execute("SELECT pg_advisory_lock(4711)")
    return holder


@pytest.mark.parametrize(("call", "words"), [
    ("pg_terminate_backend", "org_units: an administrator terminated the connection"),
    ("pg_cancel_backend", "org_units: the statement was cancelled"),
])
def test_scan_cancelled_by_the_administrator_is_inconclusive(
    site: Site, lock_holder: psycopg.Connection[Any], call: str, words: str
) -> None:
    hold_scans(site)
    running = BackgroundObservation(site)
    pid, *_ = wait_until(lambda: blocked_backends(site.admin))  # the scan of the other side may wait too
    site.admin.execute(f"SELECT {call}(%s)", (pid,))
    assert_nothing_decided(site, running.result(), words)
    wait_until(lambda: not open_sessions(site.admin))


@pytest.mark.parametrize(("scan", "words"), [
    ({"statement_timeout_seconds": 0.3}, "statement_timeout_seconds"),
    ({"lock_timeout_seconds": 0.3}, "another session held a lock on a table for longer than lock_timeout_seconds"),
    ({"deadline_seconds": 2.0}, "did not end within deadline_seconds (2 s)"),
])
def test_scan_over_a_time_limit_is_inconclusive(
    site: Site, lock_holder: psycopg.Connection[Any], scan: dict[str, float], words: str
) -> None:
    hold_scans(site, **scan)
    assert_nothing_decided(site, site.observe(), words)
    wait_until(lambda: not open_sessions(site.admin))


def test_deadline_during_the_wait_for_rechecks_is_inconclusive(site: Site) -> None:
    assert site.observe().verdict is Verdict.PASS
    site.run("DELETE FROM public.team_members WHERE ctid = (SELECT min(ctid) FROM public.team_members)")
    site.mapping = fast_mapping(deadline_seconds=1.5, settle_seconds=3600.0, rechecks=3)
    assert_nothing_decided(site, site.observe(), "deadline_seconds")


def test_locked_table_is_inconclusive(site: Site, connect: Connect) -> None:
    assert site.observe().verdict is Verdict.PASS
    holder = connect(site.admin.info.dsn)
    holder.autocommit = False
    holder.execute("LOCK TABLE public.org_unit_memberships IN ACCESS EXCLUSIVE MODE")
    assert_nothing_decided(
        site, site.observe(), "another session held a lock on a table for longer than lock_timeout_seconds")
    wait_until(lambda: not open_sessions(site.admin))


@pytest.mark.parametrize("statement", [
    f"ALTER ROLE {READER} CONNECTION LIMIT 0",
    "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 0', current_database()); END $$",
])
def test_connection_limit_is_inconclusive(site: Site, statement: str) -> None:
    assert site.observe().verdict is Verdict.PASS
    try:
        site.run(statement)
        after = site.observe()
    finally:
        site.run(f"ALTER ROLE {READER} CONNECTION LIMIT -1")
    assert_nothing_decided(site, after, "cannot connect to the database of DATABASE_URL: the server has no free")


def test_missing_socket_is_inconclusive(site: Site) -> None:
    assert site.observe().verdict is Verdict.PASS
    site.dsn = "postgresql://somebody@/orgs?host=/nonexistent/place"
    assert_nothing_decided(site, site.observe(), "the socket does not exist")


# Changes after the preflight checks.

def when(words: str, act: Callable[[], Any]) -> Callable[[str], None]:
    """Return a progress listener that calls ``act`` once, at the first line that contains ``words``."""
    pending = [act]

    def listen(line: str) -> None:
        if words in line and pending:
            pending.pop()()

    return listen


PREFLIGHT_DONE, SCANNING = "preflight checks passed", "fingerprints"

REPLACE_TABLE = (
    "CREATE TABLE public.again (LIKE public.org_units INCLUDING ALL)",
    "INSERT INTO public.again SELECT * FROM public.org_units",
    "DROP TABLE public.org_units",
    "ALTER TABLE public.again RENAME TO org_units",
    f"GRANT SELECT ON public.org_units TO {READER}",
)


@pytest.mark.parametrize(("statements", "words"), [
    (REPLACE_TABLE, "was replaced"),
    (("ALTER TABLE public.org_units ALTER COLUMN legacy_id TYPE numeric",), "unit_id is bigint in org_units.source"),
    (("ALTER TABLE public.team_members ALTER COLUMN role TYPE pg_catalog.name",
      "ALTER TABLE public.org_unit_memberships ALTER COLUMN role TYPE pg_catalog.name"), "was altered"),
    (("ALTER TABLE public.org_units ENABLE ROW LEVEL SECURITY",), "row-level security"),
    (("DROP TABLE public.org_units CASCADE",), "does not exist"),
    ((f"REVOKE SELECT ON public.teams FROM {READER}",), "the role lacks a permission"),
])
def test_change_after_the_preflight_checks_is_inconclusive(site: Site, statements: tuple[str, ...], words: str) -> None:
    assert site.observe().verdict is Verdict.PASS
    after = site.observe(progress=when(PREFLIGHT_DONE, lambda: site.run(*statements)))
    assert_nothing_decided(site, after, words)


def test_table_replaced_before_a_recheck_is_inconclusive(site: Site) -> None:
    assert site.observe().verdict is Verdict.PASS
    site.run("DELETE FROM public.team_members WHERE ctid = (SELECT min(ctid) FROM public.team_members)")
    after = site.observe(wait=lambda seconds: site.run(*REPLACE_TABLE))
    assert_nothing_decided(site, after, "was replaced")


def test_truncate_during_a_scan_waits_for_it(site: Site, connect: Connect) -> None:
    """A TRUNCATE during the scan must wait, so that no side reads as empty."""
    before = site.observe()
    other = connect(site.admin.info.dsn)
    waiting: list[InBackground] = []

    def truncate() -> None:
        waiting.append(InBackground(lambda: other.execute("TRUNCATE public.teams, public.org_units")))
        wait_until(lambda: blocked(site.admin))

    after = site.observe(progress=when(SCANNING, truncate))
    assert waiting
    waiting[0].result()
    assert after.verdict is Verdict.PASS
    assert after.entities == before.entities


def test_truncate_before_the_snapshot_is_waited_for(site: Site, connect: Connect) -> None:
    """A snapshot from before the commit of a TRUNCATE and reload would read empty tables."""
    before = site.observe()
    other = connect(site.admin.info.dsn)
    site.mapping = fast_mapping(lock_timeout_seconds=60.0)
    committing: list[InBackground] = []

    def reload_and_commit_when_waited_for() -> None:
        other.execute("BEGIN")
        for table in ("teams", "org_units", "team_members", "org_unit_memberships"):
            other.execute(f"CREATE TEMPORARY TABLE kept_{table} AS SELECT * FROM public.{table}")
            other.execute(f"TRUNCATE public.{table}")
            other.execute(f"INSERT INTO public.{table} SELECT * FROM kept_{table}")
        committing.append(InBackground(
            lambda: (wait_until(lambda: blocked_backends(site.admin)), other.execute("COMMIT"))))

    after = site.observe(progress=when(PREFLIGHT_DONE, reload_and_commit_when_waited_for))
    committing[0].result()
    assert after.verdict is Verdict.PASS
    assert after.entities == before.entities


def blocked(admin: psycopg.Connection[Any]) -> bool:
    return admin.execute(
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'TRUNCATE%' "
        "AND datname = current_database()").fetchone() is not None


# A separate server that the test may stop.

@pytest.fixture
def own_server() -> Iterator[EmbeddedServer]:
    with tempfile.TemporaryDirectory(prefix="orgrecon-pg-") as place:
        server = EmbeddedServer(Path(place))
        yield server
        with suppress(OSError):
            server.stop()


def test_server_stopped_during_a_scan_is_inconclusive(
    own_server: EmbeddedServer, tmp_path: Path, template_sql: str
) -> None:
    dsn = own_server.create_database("orgs")
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(template_sql)
        site = make_site(admin, dsn, tmp_path)
        assert site.observe().verdict is Verdict.PASS
        after = site.observe(progress=when(SCANNING, lambda: _end(own_server, signal.SIGQUIT)))
    assert_nothing_decided(site, after, ": ")
    assert any(words in after.reason for words in ("crashed", "shutting down", "terminated", "connection was lost"))
    gone = site.observe()  # with the server stopped
    assert gone.verdict is Verdict.INCONCLUSIVE
    assert "cannot connect to the database of DATABASE_URL: " in gone.reason


def test_server_without_connection_slots_is_inconclusive(
    own_server: EmbeddedServer, tmp_path: Path, template_sql: str
) -> None:
    dsn = own_server.create_database("orgs")
    with psycopg.connect(dsn, autocommit=True) as admin, ExitStack() as crowd:
        admin.execute(template_sql)
        site = make_site(admin, dsn, tmp_path)
        assert site.observe().verdict is Verdict.PASS
        wait_until(lambda: not open_sessions(admin))
        with suppress(psycopg.OperationalError):
            while True:  # other roles than superusers cannot use the reserved slots
                crowd.enter_context(psycopg.connect(site.dsn))
        assert_nothing_decided(site, site.observe(), "the server has no free connection slot")


def _end(server: EmbeddedServer, how: signal.Signals) -> None:
    pid = server.pid
    os.kill(pid, how)
    wait_until(lambda: not Path(f"/proc/{pid}").exists() if Path("/proc").exists() else True)


# Unexpected errors.

@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("secret of a row\nsecond line"), UnicodeDecodeError(
    "utf-8", b"secret", 0, 1, "secret")])
def test_unexpected_error_is_inconclusive_and_redacted(site: Site, error: Exception) -> None:
    assert site.observe().verdict is Verdict.PASS

    def fail(line: str) -> None:
        if SCANNING in line:
            raise error

    after = site.observe(progress=fail)
    assert_nothing_decided(site, after, f"internal error ({type(error).__name__} in ")
    assert "secret" not in after.model_dump_json()
    wait_until(lambda: not open_sessions(site.admin))


def test_ctrl_c_stores_no_observation(site: Site) -> None:
    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    before = site.observe()
    with pytest.raises(KeyboardInterrupt):
        site.observe(progress=interrupt)
    assert site.ledger.observations(before.day) == [before]
    wait_until(lambda: not open_sessions(site.admin))
