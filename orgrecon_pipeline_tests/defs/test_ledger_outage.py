"""Runs while the ledger is away: each step waits for it, and the day is stored once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import date

import dagster as dg
import pytest

from orgrecon_pipeline.ledger.connection.retry import RetryBudget, retry_budget
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.defs.world import World
from orgrecon_pipeline_tests.support.postgres.cutting_proxy import CuttingProxy, cutting_proxy

DAY = date(2026, 3, 10)


class Cut(logging.Handler):
    """Takes the ledger down at the first progress line that contains some words."""

    def __init__(self, words: str, proxy: CuttingProxy) -> None:
        super().__init__()
        self.words, self.proxy, self.cuts = words, proxy, 0

    def emit(self, record: logging.LogRecord) -> None:
        if self.words in record.getMessage() and not self.cuts:
            self.cuts += 1
            self.proxy.down()


def test_run_whose_ledger_goes_away_stores_the_day_once(
    world: World, new_database: Callable[..., str], ledger_template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = logging.getLogger("orgrecon.progress")
    monkeypatch.setattr(progress, "level", logging.INFO)
    world.set_clock(DAY)
    with cutting_proxy(new_database(ledger_template)) as proxy, dg.DagsterInstance.ephemeral() as instance:
        monkeypatch.setenv("ORGRECON_LEDGER_URL", proxy.url)
        lines: list[str] = []
        cut = Cut("fingerprints", proxy)
        progress.addHandler(cut)
        try:
            with retry_budget(RetryBudget(60, lines.append, sleep=proxy.up)):
                result = world.run_day_job(instance, DAY)
        finally:
            progress.removeHandler(cut)
        assert result.success
        assert cut.cuts == 1
        assert "trying again" in lines[0]
        assert len(open_ledger(proxy.url).observations(DAY)) == 1
    assert (world.reports / f"{DAY}.md").exists()


def test_run_that_gives_up_fails_with_exit_code_3(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.set_clock(DAY)
    monkeypatch.setenv("ORGRECON_LEDGER_URL", "postgresql://u@127.0.0.1:1/ledger")
    with dg.DagsterInstance.ephemeral() as instance, retry_budget(RetryBudget(0.5)):
        result = world.run_day_job(instance, DAY)
    [failure] = [event.step_failure_data.user_failure_data for event in result.all_events if event.is_step_failure]
    assert failure is not None
    assert failure.metadata["exit_code"].value == 3
    assert (failure.description or "").endswith("gave up after 0.5 s (scan.deadline_seconds).")
