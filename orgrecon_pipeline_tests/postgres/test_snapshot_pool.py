"""Statements of a comparison that share a snapshot: how many run at the same time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from orgrecon_pipeline.domain.mapping.model import ScanSettings
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.dsn import Dsn, Endpoint
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.snapshot_pool import SnapshotPool

# Longer than a helper needs to connect.
PATIENCE = 60


@pytest.fixture
def pool(empty_database: str) -> Iterator[SnapshotPool]:
    """A pool of two sessions. A scan may use three processes."""
    endpoint = Endpoint(Dsn.parse(f"{empty_database}&options=-cmax_parallel_workers_per_gather%3D2", "DSN"), "DSN")

    def open_session() -> Session:
        return Session(endpoint, ScanSettings(), Deadline(3_600))

    leader = open_session()
    pool = SnapshotPool(leader, open_session, 2)
    with pool.transaction((), lambda session: None):
        yield pool
    leader.close()


@pytest.mark.parametrize(("processors", "scans"), [(4, True), (64, True), (1, False), (None, False)])
def test_tasks_that_leave_each_other_processors_run_at_the_same_time(
    pool: SnapshotPool, monkeypatch: pytest.MonkeyPatch, processors: int | None, scans: bool
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    both = threading.Barrier(2)
    assert sorted(pool.run([lambda session: both.wait(PATIENCE)] * 2, scans=scans)) == [0, 1]


@pytest.mark.parametrize("processors", [1, 2, 3, None])
def test_scans_that_keep_all_processors_busy_run_one_after_the_other(
    pool: SnapshotPool, monkeypatch: pytest.MonkeyPatch, processors: int | None
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    threads = pool.run([lambda session: threading.current_thread()] * 2, scans=True)
    assert threads == [threading.current_thread()] * 2
