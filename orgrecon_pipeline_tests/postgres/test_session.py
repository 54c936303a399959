"""One transaction and what befalls it: a statement that is given up, a session that is ended in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping import ScanSettings
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.dsn import Dsn, Endpoint
from orgrecon_pipeline.postgres.session import Session

SLEEP = sql.SQL("SELECT pg_catalog.pg_sleep(%(seconds)s), 7 AS seven")
TIMEOUT = sql.SQL("SELECT pg_catalog.current_setting('statement_timeout') AS found")


@pytest.fixture
def session(empty_database: str) -> Iterator[Session]:
    opened = Session(Endpoint(Dsn.parse(empty_database, "DSN"), "DSN"), ScanSettings(), Deadline(3_600))
    yield opened
    opened.close()


def test_a_statement_that_is_given_up_leaves_the_transaction_as_it_was(session: Session) -> None:
    with session.transaction():
        before = session.query(TIMEOUT, "asking")
        assert session.query_within(0.05, SLEEP, "sleeping", {"seconds": 30}) is None
        assert session.query(TIMEOUT, "asking") == before
        # Inside of a savepoint the server would refuse.
        assert session.query(sql.SQL("SELECT pg_catalog.pg_export_snapshot() AS snapshot"), "exporting")


def test_a_statement_that_ends_in_time(session: Session) -> None:
    with session.transaction():
        before = session.query(TIMEOUT, "asking")
        [row] = session.query_within(30, SLEEP, "sleeping", {"seconds": 0}) or []
        assert row["seven"] == 7
        assert session.query(TIMEOUT, "asking") == before


def test_a_statement_that_fails_in_time_is_not_taken_for_a_slow_one(session: Session) -> None:
    with session.transaction(), pytest.raises(CannotDecide, match="sleeping: a column does not exist"):
        session.query_within(30, sql.SQL("SELECT nothing"), "sleeping")


@pytest.mark.parametrize(("how", "words"), [
    ("SELECT pg_terminate_backend({pid})", "terminated by the server's administrator"),
    ("idle_in_transaction_session_timeout", "idle for too long"),
])
def test_a_session_that_is_ended_between_two_statements(
    session: Session, connect: Callable[[str], psycopg.Connection[Any]], empty_database: str, how: str, words: str
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
        with pytest.raises(CannotDecide, match=words):
            session.query(TIMEOUT, "asking")
