"""Published figures of the tenants equal an independent oracle, and are unknown rather than out of date."""

from __future__ import annotations

import math
import random
import threading
from datetime import datetime, time, timedelta, timezone
from pathlib import Path

import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.config.settings import Settings, read_settings
from orgrecon_pipeline.metrics.collector import EvidenceCollector, open_collector
from orgrecon_pipeline.metrics.snapshot import read_snapshot
from orgrecon_pipeline.metrics.tenant_figures import UNKNOWN, TenantCounter, TenantFigures
from orgrecon_pipeline.operations.gate.sources import gather_evidence
from orgrecon_pipeline.operations.gate.tenant_summary import TenantSummary
from orgrecon_pipeline.operations.gate.tenants import TenantGates
from orgrecon_pipeline_tests.support.operations.tenant_history import (
    TODAY,
    Day,
    days_of,
    groups_of_oracle,
    random_history,
    store,
)

BOTH = frozenset({"acme", "globex"})
CLEAN_WEEK = days_of([(BOTH, frozenset())] * 7)
NOON = datetime.combine(TODAY, time(12), timezone.utc)


def settings_for(directory: Path) -> Settings:
    return read_settings({"ORGRECON_LEDGER_URL": f"sqlite:///{directory / 'ledger.db'}",
                          "ORGRECON_OUTPUT_DIR": str(directory / "reports")})


def published(collector: EvidenceCollector) -> tuple[float, float]:
    """Return the numbers of tenants: ready ones, and all."""
    values = {sample.name: sample.value for family in collector.collect() for sample in family.samples}
    return values["orgrecon_tenants_ready"], values["orgrecon_tenants_total"]


class Decisions:
    """Counts how often the tenant gates are decided, waits for ``go`` each time, and can fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number, self.fail, self.go = 0, False, threading.Event()
        self.go.set()
        decide = TenantSummary.of

        def decide_slowly(gates: TenantGates, limit: int) -> TenantSummary:
            self.number += 1
            assert self.go.wait(60)
            if self.fail:
                raise RuntimeError("C4n4ry")
            return decide(gates, limit)

        monkeypatch.setattr(TenantSummary, "of", decide_slowly)


@pytest.fixture
def decisions(monkeypatch: pytest.MonkeyPatch) -> Decisions:
    return Decisions(monkeypatch)


@pytest.mark.parametrize("seed", range(8))
def test_published_figures_of_a_random_history_equal_the_oracle(tmp_path: Path, seed: int) -> None:
    history = random_history(random.Random(seed))
    store(tmp_path, history, reports=False)
    ready, waiting, drifting = groups_of_oracle(history)
    assert published(open_collector(settings_for(tmp_path))) == (len(ready), len([*ready, *waiting, *drifting]))


def test_tenants_are_counted_once_for_each_observation_and_each_day(tmp_path: Path, decisions: Decisions) -> None:
    store(tmp_path, CLEAN_WEEK, reports=False)
    settings, mapping, tenants = settings_for(tmp_path), default_mapping(), TenantCounter()

    def figures(now: datetime) -> TenantFigures:
        return read_snapshot(settings, mapping, now, tenants).tenants

    assert figures(NOON) == figures(NOON + timedelta(hours=1)) == TenantFigures(2, 2)
    assert decisions.number == 1
    store(tmp_path, [Day(TODAY, BOTH, frozenset({"acme"}), rerun=1)], reports=False)
    assert figures(NOON) == figures(NOON) == TenantFigures(2, 1)
    assert decisions.number == 2
    assert figures(NOON + timedelta(days=1)) == TenantFigures(2, 1)
    assert figures(NOON + timedelta(days=2)) == TenantFigures(2, 0), "the evidence is older than yesterday"
    assert decisions.number == 4


def test_figures_are_unknown_while_they_are_counted_and_known_afterwards(tmp_path: Path, decisions: Decisions) -> None:
    store(tmp_path, CLEAN_WEEK, reports=False)
    evidence, impatient = gather_evidence(settings_for(tmp_path), trail=None), TenantCounter(wait_seconds=0)
    decisions.go.clear()
    assert impatient.count(evidence) == impatient.count(evidence) == UNKNOWN
    decisions.go.set()
    impatient._wait_seconds = None
    assert impatient.count(evidence) == TenantFigures(2, 2)
    assert decisions.number == 1


def test_error_makes_the_figures_unknown_until_the_next_scrape(
    tmp_path: Path, decisions: Decisions, caplog: pytest.LogCaptureFixture
) -> None:
    store(tmp_path, CLEAN_WEEK, reports=False)
    collector = open_collector(settings_for(tmp_path))
    assert published(collector) == (2, 2)
    store(tmp_path, [Day(TODAY, BOTH, frozenset(), rerun=1)], reports=False)
    decisions.fail = True
    assert all(map(math.isnan, published(collector)))
    assert caplog.messages == ["cannot decide the tenant gates: RuntimeError"]
    decisions.fail = False
    assert published(collector) == (2, 2)


def test_figures_are_unknown_while_the_ledger_is_down_and_zero_in_an_empty_ledger(tmp_path: Path) -> None:
    store(tmp_path, [], reports=False)
    collector = open_collector(settings_for(tmp_path))
    assert published(collector) == (0, 0)
    store(tmp_path, CLEAN_WEEK, reports=False)
    assert published(collector) == (2, 2)
    (tmp_path / "ledger.db").rename(tmp_path / "gone.db")
    assert all(map(math.isnan, published(collector)))


def test_ledger_that_was_replaced_by_another_one_is_counted_again(tmp_path: Path) -> None:
    store(tmp_path, CLEAN_WEEK, reports=False)
    collector = open_collector(settings_for(tmp_path))
    assert published(collector) == (2, 2)
    (tmp_path / "ledger.db").unlink()
    store(tmp_path, days_of([(BOTH, BOTH)] * 7), reports=False)
    assert published(collector) == (0, 2)
