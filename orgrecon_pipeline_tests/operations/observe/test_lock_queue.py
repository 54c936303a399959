"""The lock queue: a comparison gives way to a lock request, so that the application never waits for long behind it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline_tests.support.operations.concurrency import (
    BackgroundObservation,
    InBackground,
    blocked_backends,
    hold_scans,
    wait_until,
)
from orgrecon_pipeline_tests.support.operations.site import Site, fast_mapping

Connect = Callable[[str], psycopg.Connection[Any]]

YIELD_SECONDS = 0.5
# The promise is one second more than yield_seconds. A machine that is busy with other tests may need longer; without
# giving way, the application would wait until the test fails.
LONGEST_WAIT = 4 * (YIELD_SECONDS + 1)

MIGRATIONS = {
    "ALTER TABLE": "ALTER TABLE public.teams ADD COLUMN added text DEFAULT 'secret'",
    "DROP INDEX": "DROP INDEX public.teams_added",
    "VACUUM FULL": "VACUUM (FULL, ANALYZE) public.teams",
    "LOCK TABLE": "LOCK TABLE public.teams IN ACCESS EXCLUSIVE MODE",
    "REINDEX TABLE": "REINDEX TABLE public.teams",
    "CLUSTER": "CLUSTER public.teams USING teams_pkey",
}


class Application:
    """An application that reads a table all the time, and measures how long it waits."""

    def __init__(self, connection: psycopg.Connection[Any], table: str = "public.teams") -> None:
        self.longest = 0.0
        self.reads = 0
        self._connection, self._table = connection, table
        self._ended = threading.Event()

    @contextmanager
    def reading(self) -> Iterator[None]:
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
            self._connection.execute(f"SELECT FROM {self._table} LIMIT 1")
            self.longest = max(self.longest, time.monotonic() - started)
            self.reads += 1


@pytest.fixture
def application(site: Site, connect: Connect) -> Application:
    site.run("CREATE INDEX teams_added ON public.teams (name)")
    return Application(connect(site.admin.info.dsn))


@pytest.mark.parametrize("kind", MIGRATIONS)
def test_scan_gives_way_to_a_migration_and_then_completes(
    site: Site, connect: Connect, application: Application, kind: str
) -> None:
    before = site.observe()
    holder, migration = connect(site.admin.info.dsn), connect(site.admin.info.dsn)
    holder.execute("SELECT pg_advisory_lock(4711)")
    hold_scans(site, yield_seconds=YIELD_SECONDS)
    lines: list[str] = []
    with application.reading():
        running = BackgroundObservation(site, progress=lines.append)
        wait_until(lambda: blocked_backends(site.admin))
        migration.execute(f"{'' if 'VACUUM' in kind else 'BEGIN;'} {MIGRATIONS[kind]}")  # waits for the scan
        migration.execute("COMMIT")
        holder.execute("SELECT pg_advisory_unlock(4711)")
        after = running.result()
    assert (after.verdict, after.entities) == (Verdict.PASS, before.entities)
    assert after.compared["gave_way"] == 1
    assert application.longest < LONGEST_WAIT
    assert f"on public.teams, which waited for this comparison" in "\n".join(lines)
    assert "secret" not in "\n".join(lines)
