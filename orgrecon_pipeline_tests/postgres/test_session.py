"""Transactions of a session: statements with a time limit, and connections that the server ends in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping.model import ScanSettings
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.dsn import Dsn, Endpoint
from orgrecon_pipeline.postgres.session import Session

SLEEP = sql.SQL("SELECT pg_catalog.pg_sleep(%(seconds)s), 7 AS seven")
TIMEOUT = sql.SQL("SELECT pg_catalog.current_setting('statement_timeout') AS timeout")


@pytest.fixture
def session(empty_database: str) -> Iterator[Session]:
    opened = Session(Endpoint(Dsn.parse(empty_database, "DSN"), "DSN"), ScanSettings(), Deadline(3_600))
    yield opened
    opened.close()


def test_query_within_after_its_time_limit_leaves_the_transaction_usable(session: Session) -> None:
    with session.transaction():
        before = session.query(TIMEOUT, "asking")
        assert session.query_within(0.05, SLEEP, "sleeping", {"seconds": 30}) is None
        assert session.query(TIMEOUT, "asking") == before
        # Fails in a savepoint.
        assert session.query(sql.SQL("SELECT pg_catalog.pg_export_snapshot() AS snapshot"), "exporting")


def test_query_within_its_time_limit_returns_the_rows(session: Session) -> None:
    with session.transaction():
        before = session.query(TIMEOUT, "asking")
        [row] = session.query_within(30, SLEEP, "sleeping", {"seconds": 0}) or []
        assert row["seven"] == 7
        assert session.query(TIMEOUT, "asking") == before


def test_query_within_that_fails_raises(session: Session) -> None:
    with session.transaction(), pytest.raises(CannotDecide, match="sleeping: a column does not exist"):
        session.query_within(30, sql.SQL("SELECT nothing"), "sleeping")


@pytest.mark.parametrize(("how", "message"), [
    ("SELECT pg_terminate_backend({pid})", "an administrator terminated the connection"),
    ("idle_in_transaction_session_timeout", "idle for too long"),
])
def test_query_after_the_server_ended_the_session_says_why(
    session: Session, connect: Callable[[str], psycopg.Connection[Any]], empty_database: str, how: str, message: str
) -> None:
    admin = connect(empty_database)
    with session.transaction():
        [row] = session.query(sql.SQL("SELECT pg_catalog.pg_backend_pid() AS pid"), "asking")
        if how.startswith("SELECT"):
            admin.execute(how.format(**row).encode())
        else:
            session.execute(sql.SQL("SET LOCAL {} = '10ms'").format(sql.Identifier(how)), "setting")
        while admin.execute("SELECT pid FROM pg_stat_activity WHERE pid = %s", (row["pid"],)).fetchone():
            pass
        with pytest.raises(CannotDecide, match=message):
            session.query(TIMEOUT, "asking")
