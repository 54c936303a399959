"""Snapshots of two moments of one server differ by the transactions that ended in between."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.domain.mapping.model import ScanSettings
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.identity import identify
from orgrecon_pipeline.postgres.moment import ShownTransactions, other_moment
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline_tests.support.compare import endpoints

Connect = Callable[[str], psycopg.Connection[Any]]


@pytest.mark.parametrize(("text", "ended"), [
    ("5:5:", {1, 4}), ("5:8:5,7", {1, 4, 6}), ("4294967299:4294967300:", {1, 4, 5, 6, 7, 8, 4294967298, 4294967299}),
])
def test_snapshot_shows_the_transactions_that_had_ended(text: str, ended: set[int]) -> None:
    shown = ShownTransactions.parse(text)
    assert shown is not None
    assert {xid for xid in (1, 4, 5, 6, 7, 8, 4294967298, 4294967299, 4294967300) if shown.ended(xid)} == ended


@pytest.mark.parametrize("text", ["", "5:5", "a:b:", "5:8:5,", "None"])
def test_other_text_is_no_snapshot(text: str) -> None:
    assert ShownTransactions.parse(text) is None


def test_time_of_a_snapshot_is_the_clock_at_its_first_statement(
    new_database: Callable[..., str], connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = new_database()
    admin, query = connect(dsn), Session.query
    clock: list[Any] = []

    def query_after_the_clock(session: Session, statement: Any, action: str, *parameters: Any) -> Any:
        if action == "reading the server's identity":
            clock.extend(admin.execute("SELECT clock_timestamp()").fetchone() or ())
        return query(session, statement, action, *parameters)

    monkeypatch.setattr(Session, "query", query_after_the_clock)
    session = Session(endpoints.one_database(dsn).source, ScanSettings(), Deadline(60))
    try:
        with session.transaction():
            assert identify(session).observed_at < clock[0]
    finally:
        session.close()


def test_moments_differ_by_the_transactions_that_committed_in_between(
    new_database: Callable[..., str], connect: Connect
) -> None:
    dsn = new_database()
    admin, open_one = connect(dsn), connect(dsn)
    admin.execute("CREATE TABLE public.t (n integer)")
    open_one.execute("BEGIN")
    [(xid,)] = open_one.execute("SELECT pg_current_xact_id()::text")
    session = Session(endpoints.one_database(dsn).source, ScanSettings(), Deadline(60))
    try:
        with session.transaction():
            before = identify(session)
            described = before.as_json_value()
            assert other_moment(session, before, described) == ""
            other_server = replace(before, system_identifier="1")
            assert other_moment(session, other_server, described) == ""
        open_one.execute("INSERT INTO public.t VALUES (1)")
        open_one.execute("COMMIT")
        admin.execute("INSERT INTO public.t VALUES (2)")
        with session.transaction():
            after = identify(session)
            assert re.fullmatch(
                r"shows \d+ transactions that the snapshot of the observation did not: restore with "
                rf"recovery_target_xid = '{xid}' and recovery_target_inclusive = 'off'",
                other_moment(session, after, described))
            future = {**described, "snapshot": f"{int(xid) + 100}:{int(xid) + 100}:"}
            assert "lacks" in other_moment(session, after, future)
    finally:
        session.close()


def test_aborted_transactions_do_not_change_the_moment(new_database: Callable[..., str], connect: Connect) -> None:
    dsn = new_database()
    admin = connect(dsn)
    session = Session(endpoints.one_database(dsn).source, ScanSettings(), Deadline(60))
    try:
        with session.transaction():
            described = identify(session).as_json_value()
        admin.execute("BEGIN")
        [(xid,)] = admin.execute("SELECT pg_current_xact_id()::text")
        admin.execute("ROLLBACK")
        with session.transaction():
            # The server itself can commit a transaction, such as an autovacuum.
            assert f"'{xid}'" not in other_moment(session, identify(session), described)
    finally:
        session.close()
