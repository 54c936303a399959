"""Lock requests that wait for a comparison: which count, and how they are named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.domain.mapping.model import ScanSettings
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.dsn import Dsn, Endpoint
from orgrecon_pipeline.postgres.locks.requests import LockRequest, read_requests, statement_kind, still_exists
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline_tests.support.operations.concurrency import InBackground, wait_until

Connect = Callable[[str], psycopg.Connection[Any]]

TABLES = """
    CREATE TABLE compared (k int PRIMARY KEY, v text);
    CREATE INDEX i ON compared (v);
    CREATE TABLE unrelated (k int);
"""
READ = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; LOCK TABLE compared IN ACCESS SHARE MODE"
WAITING = "SELECT 1 FROM pg_locks WHERE NOT granted AND pid = %s"


class Queue:
    """Sessions that wait for each other, while one of them has the locks and the snapshot of a comparison."""

    def __init__(self, dsn: str, connect: Connect) -> None:
        self._dsn, self._connect = dsn, connect
        self.admin = connect(dsn)
        self.admin.execute(TABLES)
        self.reader = connect(dsn)
        self.reader.execute(READ)
        self.reader.execute("SELECT v FROM compared ORDER BY v")
        self._holders: list[psycopg.Connection[Any]] = []
        self._waiting: list[InBackground] = []

    def hold(self, statement: str) -> None:
        """Run a statement in a transaction that stays open until :meth:`release`."""
        holder = self._connect(self._dsn)
        holder.execute("BEGIN")
        holder.execute(statement)
        self._holders.append(holder)

    def wait(self, statement: str) -> None:
        """Run a statement, which must wait for a lock, in the background."""
        connection = self._connect(self._dsn)
        pid = connection.info.backend_pid
        self._waiting.append(InBackground(lambda: connection.execute(statement)))
        wait_until(lambda: self.admin.execute(WAITING, (pid,)).fetchone())

    def requests(self, role: str = "") -> list[LockRequest]:
        dsn = self._dsn.replace("postgres@", f"{role}@") if role else self._dsn
        session = Session(Endpoint(Dsn.parse(dsn, "DSN"), "DSN"), ScanSettings(), Deadline(60))
        with session.transaction():
            requests = read_requests(session, [self.reader.info.backend_pid])
        session.close()
        return requests

    def release(self) -> None:
        self.reader.execute("ROLLBACK")
        for holder in self._holders:
            holder.execute("ROLLBACK")
        for waiting in self._waiting:
            waiting.result()


@pytest.fixture
def queue(empty_database: str, connect: Connect) -> Iterator[Queue]:
    queue = Queue(empty_database, connect)
    yield queue
    queue.release()


HOLDS = {"": (), "another session": ("LOCK TABLE compared IN ACCESS SHARE MODE",),
         "another table": ("LOCK TABLE unrelated IN ACCESS SHARE MODE",)}


@pytest.mark.parametrize(("others", "statements", "expected"), [
    ("", ["ALTER TABLE compared ADD COLUMN w text"], ["ALTER TABLE public.compared"]),
    ("", ["DROP INDEX i"], ["DROP INDEX public.compared"]),
    ("", ["REINDEX INDEX i"], ["REINDEX INDEX public.compared"]),  # the table of the index is named
    ("", ["TRUNCATE compared"], ["TRUNCATE public.compared"]),
    # A reader waits for the migration, not for the comparison.
    ("", ["ALTER TABLE compared ADD COLUMN w text", "SELECT FROM compared"], ["ALTER TABLE public.compared"]),
    # The comparison is not the only one that is waited for.
    ("another session", ["ALTER TABLE compared ADD COLUMN w text"], ["ALTER TABLE public.compared"]),
    # It is not waited for at all.
    ("another table", ["ALTER TABLE unrelated ADD COLUMN w text"], []),
    # It is waited for, but that holds up nobody.
    ("", ["CREATE INDEX CONCURRENTLY j ON unrelated (k)"], []),
    ("", ["REINDEX INDEX CONCURRENTLY i"], []),
    # Until somebody waits for that statement.
    ("", ["CREATE INDEX CONCURRENTLY j ON unrelated (k)", "ALTER TABLE unrelated ADD COLUMN w text"],
     ["ALTER TABLE public.unrelated"]),
])
def test_requests_are_those_for_which_others_must_wait(
    queue: Queue, others: str, statements: list[str], expected: list[str]
) -> None:
    for statement in HOLDS[others]:
        queue.hold(statement)
    for statement in statements:
        queue.wait(statement)
    assert [f"{request.statement} {request.table}" for request in queue.requests()] == expected


def test_request_without_permission_to_see_the_statement_has_mode_and_table(queue: Queue) -> None:
    queue.admin.execute("DO $$ BEGIN CREATE ROLE stranger LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    queue.wait("ALTER TABLE compared ADD COLUMN w text DEFAULT 'secret'")
    [request] = queue.requests("stranger")
    assert (request.statement, request.mode, request.table) == (None, "ACCESS EXCLUSIVE", "public.compared")
    assert str(request) == "a request for an ACCESS EXCLUSIVE lock on public.compared"
    assert str(replace(request, mode="SHARE", statement="CREATE INDEX")) == (
        "CREATE INDEX (which needs a SHARE lock) on public.compared")


def test_request_exists_until_its_transaction_has_ended(queue: Queue) -> None:
    queue.wait("ALTER TABLE compared ADD COLUMN w text")
    [request] = queue.requests()
    session = Session(Endpoint(Dsn.parse(queue._dsn, "DSN"), "DSN"), ScanSettings(), Deadline(60))
    with session.transaction():
        assert still_exists(session, request)
    queue.release()
    with session.transaction():
        assert not still_exists(session, request)
    session.close()


@pytest.mark.parametrize(("text", "kind"), [
    ("ALTER TABLE public.teams ADD COLUMN password text DEFAULT 'hunter2'", "ALTER TABLE"),
    ("alter  table\n teams add column x int", "ALTER TABLE"),
    ("/* app='x' */ -- note\n DROP INDEX CONCURRENTLY i", "DROP INDEX CONCURRENTLY"),
    ("VACUUM (FULL, ANALYZE) teams", "VACUUM FULL"),
    ("REFRESH MATERIALIZED VIEW v", "REFRESH MATERIALIZED VIEW"),
    ("BEGIN; SET lock_timeout = '5s'; LOCK TABLE teams", "LOCK TABLE"),
    ("CREATE UNIQUE INDEX i ON teams (name)", "CREATE UNIQUE INDEX"),
    ("TRUNCATE teams", "TRUNCATE"),
    ("ALTER TABLESPACE t RENAME TO u", "ALTER"),
    ("CREATE TABLE tableau AS SELECT 'secret'", "CREATE TABLE"),
    ("SELECT migrate('secret')", None),
    ("DO $$ BEGIN ALTER TABLE teams ADD COLUMN x int; END $$", None),
    ("<insufficient privilege>", None),
    ("", None),
    (None, None),
])
def test_statement_kind_has_only_keywords(text: str | None, kind: str | None) -> None:
    assert statement_kind(text) == kind
