"""Snapshots of a real ledger with fresh, stale or undecided evidence, and of a ledger that is damaged or missing."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.config.settings import Settings, read_settings
from orgrecon_pipeline.domain.errors import ConfigurationError, LedgerUnavailable
from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.metrics.collector import EvidenceCollector
from orgrecon_pipeline.metrics.snapshot import read_snapshot, take_snapshot
from orgrecon_pipeline_tests.support.default_identity import IDENTITY, open_ledger
from orgrecon_pipeline_tests.support.ledger.cases import observation, totals

LAST = date(2026, 3, 8)
POLICY = GatePolicy()
MAPPING = default_mapping()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def ledger(url: str) -> Ledger:
    return open_ledger(url)


def at(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=timezone.utc)


def append(
    ledger: Ledger, day: date, verdict: Verdict = Verdict.PASS, *, hour: int = 8,
    provenance: Provenance = Provenance.LIVE,
) -> None:
    undecided, baseline = verdict is Verdict.INCONCLUSIVE, provenance is Provenance.BASELINE
    ledger.append(observation(
        f"{day}-{hour}-{verdict.value}", day, verdict, provenance=provenance,
        observed_at=None if baseline else at(day, hour),
        tenants_scanned=None if undecided else 0 if baseline else 3,
        tenants_with_drift=None if undecided else int(verdict is Verdict.FAIL),
        entities={"org_units": totals(None if undecided else 5, **({"missing": 2} if verdict is Verdict.FAIL else {}))},
        compared={} if undecided or baseline else {"seconds": 12.5}, mapping_digest=MAPPING.digest,
    ), (), (), ())


def settings_for(url: str, directory: Path) -> Settings:
    return read_settings({"ORGRECON_LEDGER_URL": url, "ORGRECON_OUTPUT_DIR": str(directory / "reports")})


def append_clean_week(ledger: Ledger) -> None:
    for back in range(7):
        append(ledger, LAST - timedelta(days=back))


def test_clean_week_opens_the_gate(ledger: Ledger) -> None:
    append_clean_week(ledger)
    snapshot = take_snapshot(ledger, POLICY, at(LAST, 9))
    assert (snapshot.gate_open, snapshot.streak_days, snapshot.live_days, snapshot.window_days) == (True, 7, 7, 7)
    assert snapshot.last_completion == snapshot.last_success == at(LAST, 8)
    assert snapshot.scan_seconds == 12.5
    assert snapshot.observations == {Verdict.PASS: 7}
    assert (snapshot.latest_day, snapshot.latest and snapshot.latest.verdict) == (LAST, Verdict.PASS)


@pytest.mark.parametrize(("later", "is_open"), [(timedelta(hours=15), True), (timedelta(hours=39), True),
                                                (timedelta(hours=40), False), (timedelta(days=9), False)])
def test_gate_closes_when_the_evidence_is_older_than_yesterday(
    ledger: Ledger, later: timedelta, is_open: bool,
) -> None:
    append_clean_week(ledger)
    snapshot = take_snapshot(ledger, POLICY, at(LAST, 8) + later)
    assert snapshot.gate_open is is_open
    assert snapshot.last_completion == at(LAST, 8), "the timestamp must show the age"


def test_failed_day_closes_the_gate_and_keeps_the_time_of_the_last_success(ledger: Ledger) -> None:
    append_clean_week(ledger)
    append(ledger, LAST + timedelta(days=1), Verdict.FAIL)
    snapshot = take_snapshot(ledger, POLICY, at(LAST + timedelta(days=1), 9))
    assert (snapshot.gate_open, snapshot.streak_days) == (False, 0)
    assert snapshot.last_success == at(LAST, 8)
    assert snapshot.last_completion == at(LAST + timedelta(days=1), 8)
    assert snapshot.observations == {Verdict.PASS: 7, Verdict.FAIL: 1}


def test_inconclusive_rerun_is_the_latest_completion_but_does_not_decide_the_day(ledger: Ledger) -> None:
    append_clean_week(ledger)
    append(ledger, LAST, Verdict.INCONCLUSIVE, hour=10)
    snapshot = take_snapshot(ledger, POLICY, at(LAST, 11))
    assert (snapshot.gate_open, snapshot.last_success, snapshot.last_completion) == (True, at(LAST, 8), at(LAST, 10))
    assert snapshot.observations[Verdict.INCONCLUSIVE] == 1


def test_baseline_is_neither_a_completion_nor_a_success(ledger: Ledger) -> None:
    append(ledger, LAST, provenance=Provenance.BASELINE)
    snapshot = take_snapshot(ledger, POLICY, at(LAST, 9))
    assert (snapshot.last_completion, snapshot.last_success, snapshot.scan_seconds) == (None, None, None)
    assert snapshot.latest_day == LAST


def test_evidence_from_the_future_does_not_open_the_gate(ledger: Ledger) -> None:
    append_clean_week(ledger)
    assert take_snapshot(ledger, POLICY, at(LAST - timedelta(days=1), 9)).gate_open is False


def test_missing_ledger_is_down_until_it_comes_back(url: str, tmp_path: Path) -> None:
    settings = settings_for(url, tmp_path)
    collector = EvidenceCollector(lambda: read_snapshot(settings, MAPPING, at(LAST, 9)), IDENTITY, ["org_units"], 7)
    assert collector.current().ledger_up is False
    append_clean_week(open_ledger(url))
    assert collector.current().gate_open is True
    (tmp_path / "ledger.db").rename(tmp_path / "gone.db")
    missing = collector.current()
    assert (missing.ledger_up, missing.gate_open, missing.last_success) == (False, False, at(LAST, 8))
    (tmp_path / "gone.db").rename(tmp_path / "ledger.db")
    assert collector.current().gate_open is True


def test_damaged_ledger_raises_an_error(url: str, tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"text that is as long as a database" * 100)
    with pytest.raises(ConfigurationError):
        read_snapshot(settings_for(url, tmp_path), MAPPING, at(LAST, 9))


def test_error_of_an_unreachable_postgres_ledger_does_not_contain_its_password(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable) as refused:
        read_snapshot(settings_for("postgresql://u:CanaryPw@127.0.0.1:1/none", tmp_path), MAPPING, at(LAST, 9))
    assert "CanaryPw" not in str(refused.value)


def test_postgres_ledger_gives_the_same_snapshot_as_sqlite(empty_database: str, tmp_path: Path) -> None:
    append_clean_week(open_ledger(empty_database))
    snapshot = read_snapshot(settings_for(empty_database, tmp_path), MAPPING, at(LAST, 9))
    assert (snapshot.gate_open, snapshot.last_success, snapshot.observations) == (True, at(LAST, 8), {Verdict.PASS: 7})
