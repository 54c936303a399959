"""Concurrent comparison of shards, controlled by locks: deadlines, connection limits and Ctrl+C."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline_tests.support.operations.concurrency import (
    BackgroundObservation,
    blocked_backends,
    hold_scans,
    open_sessions,
    wait_until,
)
from orgrecon_pipeline_tests.support.operations.shards import (
    NAMES,
    Connect,
    ShardedSite,
    delete_row,
    reused_shards,
    sharded_mapping,
)
from orgrecon_pipeline_tests.support.operations.site import READER


@contextmanager
def hold_every_scan(shards: ShardedSite, connect: Connect) -> Iterator[dict[str, psycopg.Connection[Any]]]:
    """Hold the lock for which the scan waits in every shard; yield the sessions that hold it."""
    keepers = {name: connect(admin.info.dsn) for name, admin in shards.admins.items()}
    for keeper in keepers.values():
        keeper.execute("SELECT pg_advisory_lock(4711)")
    yield keepers
    for keeper in keepers.values():
        keeper.close()


def test_shards_are_read_concurrently(shards: ShardedSite, connect: Connect) -> None:
    """All shards wait in the middle of their scans at the same time."""
    hold_scans(shards)
    with hold_every_scan(shards, connect) as keepers:
        running = BackgroundObservation(shards)
        wait_until(lambda: all(blocked_backends(admin) for admin in shards.admins.values()))
        for keeper in keepers.values():
            keeper.execute("SELECT pg_advisory_unlock(4711)")
        assert running.result().verdict is Verdict.PASS


def test_shards_at_once_limits_concurrency(shards: ShardedSite, connect: Connect) -> None:
    hold_scans(shards, shards_at_once=2)
    lines: list[str] = []
    with hold_every_scan(shards, connect) as keepers:
        running = BackgroundObservation(shards, progress=lines.append)
        wait_until(lambda: sum(bool(blocked_backends(admin)) for admin in shards.admins.values()) == 2)
        begun = {name for name, admin in shards.admins.items() if open_sessions(admin)}
        assert len(begun) == 2
        [waits] = set(NAMES) - begun
        keepers[min(begun)].execute("SELECT pg_advisory_unlock(4711)")
        wait_until(lambda: blocked_backends(shards.admins[waits]))
        for keeper in keepers.values():
            keeper.execute("SELECT pg_advisory_unlock_all()")
        assert running.result().verdict is Verdict.PASS
    assert "3 of 3 shards done" in lines[-1]


def test_shard_over_its_deadline_is_inconclusive(shards: ShardedSite, connect: Connect) -> None:
    hold_scans(shards, deadline_seconds=3.0)
    keeper = connect(shards.admins["eu1"].info.dsn)
    keeper.execute("SELECT pg_advisory_lock(4711)")
    after = shards.observe()
    assert after.verdict is Verdict.INCONCLUSIVE
    assert after.reason == "shard eu1: the comparison did not end within deadline_seconds (3 s)."
    keeper.execute("SELECT pg_advisory_unlock(4711)")
    assert reused_shards(shards.observe()) == {"ap1", "us1"}


def test_shard_without_a_connection_slot_is_inconclusive(shards: ShardedSite) -> None:
    """The limit of the role stops all shards; a limit of one free connection is enough for a shard."""
    shards.mapping = sharded_mapping(NAMES, workers=4)
    shards.run(f"ALTER ROLE {READER} CONNECTION LIMIT 0")
    try:
        after = shards.observe()
        assert after.reason.count("the server has no free connection slot") == 3
    finally:
        shards.run(f"ALTER ROLE {READER} CONNECTION LIMIT -1")
    shards.admins["eu1"].execute(f"ALTER DATABASE {shards.admins['eu1'].info.dbname} CONNECTION LIMIT 2")
    assert shards.observe().verdict is Verdict.PASS, "one connection per database is enough"


@contextmanager
def interrupted(when: Callable[[], Any]) -> Iterator[None]:
    """Send Ctrl+C to the main thread once ``when()`` is true, and expect it to interrupt the block."""

    def interrupt() -> None:
        wait_until(when)
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=interrupt)
    sender.start()
    with pytest.raises(KeyboardInterrupt):
        yield
    sender.join()


def test_ctrl_c_cancels_every_shard(shards: ShardedSite, connect: Connect) -> None:
    """Only the main thread is interrupted, and the statements of all shards are cancelled."""
    hold_scans(shards)
    before = threading.active_count()
    with hold_every_scan(shards, connect):
        with interrupted(lambda: all(blocked_backends(admin) for admin in shards.admins.values())):
            shards.observe()
        wait_until(lambda: threading.active_count() <= before)  # a thread of an earlier test may have ended meanwhile
        wait_until(lambda: not any(open_sessions(admin) for admin in shards.admins.values()))
    assert shards.ledger.days() == []


def test_ctrl_c_during_the_wait_for_rechecks_stops(shards: ShardedSite) -> None:
    for name in NAMES:
        delete_row(shards, name)
    shards.mapping = sharded_mapping(NAMES, settle_seconds=3600, rechecks=1)
    with interrupted(lambda: shards.admin.execute(
            "SELECT 1 FROM pg_stat_activity WHERE application_name = 'orgrecon' AND datname = current_database() "
            "AND state = 'idle' AND query LIKE 'ROLLBACK%'").fetchone()):
        shards.observe()
    assert shards.ledger.days() == []
