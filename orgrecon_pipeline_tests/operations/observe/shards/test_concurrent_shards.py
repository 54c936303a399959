"""Shards at the same time: proved by locks and not by a clock, up to a deadline, a full server, or Ctrl+C."""

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
from orgrecon_pipeline_tests.support.operations.moments import Background, gated, left_over, scanning, until
from orgrecon_pipeline_tests.support.operations.shards import NAMES, Connect, Shards, lose, reused, sharded
from orgrecon_pipeline_tests.support.operations.site import READER


@contextmanager
def held(shards: Shards, connect: Connect) -> Iterator[dict[str, psycopg.Connection[Any]]]:
    """Somebody in every shard who holds what its scan waits for."""
    keepers = {name: connect(admin.info.dsn) for name, admin in shards.admins.items()}
    for keeper in keepers.values():
        keeper.execute("SELECT pg_advisory_lock(4711)")
    yield keepers
    for keeper in keepers.values():
        keeper.close()


def test_shards_are_read_concurrently(shards: Shards, connect: Connect) -> None:
    """Each waits in the middle of its scan, and all of them do: none had to end before another began."""
    gated(shards)
    with held(shards, connect) as keepers:
        running = Background(shards)
        until(lambda: all(scanning(admin) for admin in shards.admins.values()))
        for keeper in keepers.values():
            keeper.execute("SELECT pg_advisory_unlock(4711)")
        assert running.result().verdict is Verdict.PASS


def test_shards_at_once_limits_concurrency(shards: Shards, connect: Connect) -> None:
    gated(shards, shards_at_once=2)
    lines: list[str] = []
    with held(shards, connect) as keepers:
        running = Background(shards, progress=lines.append)
        until(lambda: sum(bool(scanning(admin)) for admin in shards.admins.values()) == 2)
        begun = {name for name, admin in shards.admins.items() if left_over(admin)}
        assert len(begun) == 2
        [waits] = set(NAMES) - begun
        keepers[min(begun)].execute("SELECT pg_advisory_unlock(4711)")
        until(lambda: scanning(shards.admins[waits]))
        for keeper in keepers.values():
            keeper.execute("SELECT pg_advisory_unlock_all()")
        assert running.result().verdict is Verdict.PASS
    assert "3 of 3 shards done" in lines[-1]


def test_shard_over_its_deadline_is_inconclusive(shards: Shards, connect: Connect) -> None:
    gated(shards, deadline_seconds=3.0)
    keeper = connect(shards.admins["eu1"].info.dsn)
    keeper.execute("SELECT pg_advisory_lock(4711)")
    after = shards.observe()
    assert after.verdict is Verdict.INCONCLUSIVE
    assert after.reason == "shard eu1: the comparison did not end within deadline_seconds (3 s)."
    keeper.execute("SELECT pg_advisory_unlock(4711)")
    assert reused(shards.observe()) == {"ap1", "us1"}


def test_shard_without_a_connection_slot_is_inconclusive(shards: Shards) -> None:
    """Every shard has its own; a role that may connect once is read by one connection."""
    shards.mapping = sharded(NAMES, workers=4)
    shards.run(f"ALTER ROLE {READER} CONNECTION LIMIT 0")
    try:
        after = shards.observe()
        assert after.reason.count("the server has no free connection slot") == 3
    finally:
        shards.run(f"ALTER ROLE {READER} CONNECTION LIMIT -1")
    shards.admins["eu1"].execute(f"ALTER DATABASE {shards.admins['eu1'].info.dbname} CONNECTION LIMIT 2")
    assert shards.observe().verdict is Verdict.PASS, "it and whoever asks is all that fits"


@contextmanager
def interrupted(when: Callable[[], Any]) -> Iterator[None]:
    """Ctrl+C comes to the main thread, once that is so, and ends what it does there."""

    def interrupt() -> None:
        until(when)
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=interrupt)
    sender.start()
    with pytest.raises(KeyboardInterrupt):
        yield
    sender.join()


def test_ctrl_c_cancels_every_shard(shards: Shards, connect: Connect) -> None:
    """It comes to the main thread alone, and the statements of all the others are cancelled."""
    gated(shards)
    before = threading.active_count()
    with held(shards, connect):
        with interrupted(lambda: all(scanning(admin) for admin in shards.admins.values())):
            shards.observe()
        until(lambda: threading.active_count() <= before)  # one of an earlier test may have ended meanwhile
        until(lambda: not any(left_over(admin) for admin in shards.admins.values()))
    assert shards.ledger.days() == []


def test_ctrl_c_during_the_wait_for_rechecks_stops(shards: Shards) -> None:
    for name in NAMES:
        lose(shards, name)
    shards.mapping = sharded(NAMES, settle_seconds=3600, rechecks=1)
    with interrupted(lambda: shards.admin.execute(
            "SELECT 1 FROM pg_stat_activity WHERE application_name = 'orgrecon' AND datname = current_database() "
            "AND state = 'idle' AND query LIKE 'ROLLBACK%'").fetchone()):
        shards.observe()
    assert shards.ledger.days() == []
