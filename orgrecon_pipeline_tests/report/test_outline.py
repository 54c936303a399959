"""The outline of a report gives the same evidence and the same findings as its record, in little memory."""

from __future__ import annotations

import random
import tracemalloc
from datetime import date
from pathlib import Path

import pytest

from orgrecon_pipeline.domain.gate.tenants import TenantObservation
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.report.checks.trail import disagreements
from orgrecon_pipeline.report.outline import ReportOutline
from orgrecon_pipeline.report.write import write_report
from orgrecon_pipeline_tests.report.test_outdated import random_trail
from orgrecon_pipeline_tests.report.test_random_trails import random_history
from orgrecon_pipeline_tests.support.default_identity import verify_trail
from orgrecon_pipeline_tests.support.report.cases import History, clean_week, days_back, forged, golden_cases, row

CASES = golden_cases()


@pytest.mark.parametrize("name", CASES)
def test_outline_of_a_record_has_its_evidence(name: str) -> None:
    record = CASES[name]
    outline = ReportOutline.of(record)
    assert outline.to_evidence() == record.to_evidence()
    assert [item.id for item in outline.observations] == [row.id for row in record.observations]
    assert outline.listed == len({row.tenant for row in record.tenants})
    assert outline.drifting.keys() == {row.tenant for row in record.tenants if row.drift}


def test_outline_keeps_what_the_gates_of_tenants_need() -> None:
    [(day, [compared])] = clean_week(length=1).by_day.items()
    facts = {"keys_in_flux": 3, "coverage": {"left": ["acme"], "left_count": 120}}
    history = History([compared.model_copy(update={"compared": {**compared.compared, **facts}})])
    [about] = ReportOutline.of(history.record(day)).about_tenants()
    assert about == TenantObservation.of_rows(about.observed, {}, 0)
    assert about.departures == "cut off"
    assert about.observed.compared["keys_in_flux"] == 3


@pytest.mark.parametrize("seed", range(20))
def test_random_trail_has_the_same_findings_by_outlines_as_by_records(seed: int) -> None:
    chance = random.Random(seed)
    _, reports = random_trail(chance)
    history = random_history(chance)
    for records in (reports, {day: history.record(day) for day in history.by_day}):
        if records:
            day = chance.choice(sorted(records))
            lie = forged(records[day], streak_days=records[day].streak_days + chance.choice((-1, 1, 3)) % 9)
            for trail in (records, {**records, day: lie}):
                found = list(disagreements(trail, set(trail)))
                assert list(disagreements(outlines(trail), set(trail))) == found


def outlines(records: dict[date, Record]) -> dict[date, ReportOutline]:
    return {day: ReportOutline.of(record) for day, record in records.items()}


def test_verification_does_not_hold_all_records_in_memory(tmp_path: Path) -> None:
    days = sorted(days_back(*range(40)))
    breakdown = [row(f"tenant {number}", entity) for number in range(200) for entity in ("units", "members")]
    for directory, of_trail in (("short", days[-4:]), ("long", days)):
        history = clean_week(length=len(of_trail))
        for day in of_trail:
            write_report(tmp_path / directory, history.record(day, breakdown))
    verify_trail(tmp_path / "short")  # what is loaded once
    assert peak(tmp_path / "long") - peak(tmp_path / "short") < 40_000 * (len(days) - 4)  # a record has ten times that


def peak(directory: Path) -> int:
    """Return how many bytes verification of a sound trail needs at most at one time."""
    tracemalloc.start()
    try:
        assert verify_trail(directory).sound
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
