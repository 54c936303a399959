"""From a real ledger to the published state: fresh, stale, undecided, broken and gone."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.evidence import EntityTotals, Observation, Provenance, Verdict
from orgrecon_pipeline.domain.mapping import GatePolicy
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.open import open_ledger
from orgrecon_pipeline.metrics.collector import EvidenceCollector
from orgrecon_pipeline.metrics.read_ledger import read_snapshot, snapshot_of

LAST = date(2026, 3, 8)
POLICY = GatePolicy()
CLEAN = EntityTotals(
    source_rows=5, target_rows=5, missing=0, unexpected=0, mismatched=0, duplicate=0, transient=0
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def ledger(url: str) -> Ledger:
    return open_ledger(url)


def at(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=timezone.utc)


def add(
    ledger: Ledger, day: date, verdict: Verdict = Verdict.PASS, *, hour: int = 8,
    provenance: Provenance = Provenance.LIVE,
) -> None:
    undecided = verdict is Verdict.INCONCLUSIVE
    baseline = provenance is Provenance.BASELINE
    drifting = CLEAN.model_copy(update={"missing": 2})
    ledger.append(
        Observation(
            id=f"{day}-{hour}-{verdict.value}", day=day, provenance=provenance, verdict=verdict, reason="r",
            observed_at=None if baseline else at(day, hour), mapping_digest="d", orgrecon_version="0",
            tenants_scanned=None if undecided else 0 if baseline else 3,
            tenants_with_drift=None if undecided else int(verdict is Verdict.FAIL),
            entities={"org_units": EntityTotals.unknown() if undecided else
                      drifting if verdict is Verdict.FAIL else CLEAN},
            compared={} if undecided or baseline else {"seconds": 12.5},
        ), (), (), (),
    )


def week(ledger: Ledger) -> None:
    for back in range(7):
        add(ledger, LAST - timedelta(days=back))


def test_a_week_of_clean_days_is_an_open_gate(ledger: Ledger) -> None:
    week(ledger)
    seen = snapshot_of(ledger, POLICY, at(LAST, 9))
    assert (seen.gate_open, seen.streak_days, seen.live_days, seen.window_days) == (True, 7, 7, 7)
    assert seen.last_completion == seen.last_success == at(LAST, 8)
    assert seen.scan_seconds == 12.5
    assert seen.observations == {Verdict.PASS: 7}
    assert (seen.latest_day, seen.latest and seen.latest.verdict) == (LAST, Verdict.PASS)


@pytest.mark.parametrize(("later", "is_open"), [(timedelta(hours=15), True), (timedelta(hours=39), True),
                                                (timedelta(hours=40), False), (timedelta(days=9), False)])
def test_the_gate_closes_by_itself_when_the_evidence_is_older_than_yesterday(
    ledger: Ledger, later: timedelta, is_open: bool,
) -> None:
    week(ledger)
    seen = snapshot_of(ledger, POLICY, at(LAST, 8) + later)
    assert seen.gate_open is is_open
    assert seen.last_completion == at(LAST, 8), "the age must be seen"


def test_a_failed_day_closes_the_gate_and_keeps_the_time_of_the_last_success(ledger: Ledger) -> None:
    week(ledger)
    add(ledger, LAST + timedelta(days=1), Verdict.FAIL)
    seen = snapshot_of(ledger, POLICY, at(LAST + timedelta(days=1), 9))
    assert (seen.gate_open, seen.streak_days) == (False, 0)
    assert seen.last_success == at(LAST, 8)
    assert seen.last_completion == at(LAST + timedelta(days=1), 8)
    assert seen.observations == {Verdict.PASS: 7, Verdict.FAIL: 1}


def test_a_rerun_that_could_not_be_decided_does_not_displace_the_day_but_is_the_latest_completion(
    ledger: Ledger,
) -> None:
    week(ledger)
    add(ledger, LAST, Verdict.INCONCLUSIVE, hour=10)
    seen = snapshot_of(ledger, POLICY, at(LAST, 11))
    assert (seen.gate_open, seen.last_success, seen.last_completion) == (True, at(LAST, 8), at(LAST, 10))
    assert seen.observations[Verdict.INCONCLUSIVE] == 1


def test_a_baseline_is_no_completed_comparison(ledger: Ledger) -> None:
    add(ledger, LAST, provenance=Provenance.BASELINE)
    seen = snapshot_of(ledger, POLICY, at(LAST, 9))
    assert (seen.last_completion, seen.last_success, seen.scan_seconds) == (None, None, None)
    assert seen.latest_day == LAST


def test_evidence_from_the_future_does_not_open_the_gate(ledger: Ledger) -> None:
    week(ledger)
    assert snapshot_of(ledger, POLICY, at(LAST - timedelta(days=1), 9)).gate_open is False


def test_a_ledger_that_is_not_there_is_down_and_one_that_comes_back_is_read_again(url: str, tmp_path: Path) -> None:
    collector = EvidenceCollector(lambda: read_snapshot(url, POLICY, at(LAST, 9)), ["org_units"], 7)
    assert collector.current().ledger_up is False
    week(open_ledger(url))
    assert collector.current().gate_open is True
    (tmp_path / "ledger.db").rename(tmp_path / "gone.db")
    lost = collector.current()
    assert (lost.ledger_up, lost.gate_open, lost.last_success) == (False, False, at(LAST, 8))
    (tmp_path / "gone.db").rename(tmp_path / "ledger.db")
    assert collector.current().gate_open is True


def test_a_damaged_ledger_is_an_error_and_not_an_empty_one(url: str, tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(ConfigurationError):
        read_snapshot(url, POLICY, at(LAST, 9))


def test_an_unreachable_postgres_ledger_does_not_show_its_password() -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_snapshot("postgresql://u:CanaryPw@127.0.0.1:1/none", POLICY, at(LAST, 9))
    assert "CanaryPw" not in str(refused.value)


def test_a_postgres_ledger_is_read_like_a_file(empty_database: str) -> None:
    week(open_ledger(empty_database))
    seen = read_snapshot(empty_database, POLICY, at(LAST, 9))
    assert (seen.gate_open, seen.last_success, seen.observations) == (True, at(LAST, 8), {Verdict.PASS: 7})
