"""The outline of a report holds the same evidence as its record, in little memory."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orgrecon_pipeline.domain.gate.tenants import TenantObservation
from orgrecon_pipeline.report.checks.trail import disagreements
from orgrecon_pipeline.report.outline import ReportOutline
from orgrecon_pipeline.report.write import write_report
from orgrecon_pipeline_tests.report.test_outdated import random_trail
from orgrecon_pipeline_tests.report.test_random_trails import random_history
from orgrecon_pipeline_tests.support.default_identity import verify_trail
from orgrecon_pipeline_tests.support.report.cases import (
    COMPARED,
    DAY,
    SIDE,
    History,
    clean_week,
    days_back,
    disagreements_of,
    forged,
    golden_cases,
    observation,
    row,
)

SHARDED = {
    "gate": COMPARED["gate"], "first_observation": True, "shards": {"eu": {"source": SIDE, "target": SIDE}},
    "moved_from": {"eu.source": {"system_identifier": "1", "database": "app"}}}
CASES = {**golden_cases(), "moved_shard": History(
    observation(DAY, hour=hour, compared=SHARDED) for hour in (8, 9)).record(DAY)}


@pytest.mark.parametrize("name", CASES)
def test_outline_of_a_record_has_its_evidence(name: str) -> None:
    record = CASES[name]
    outline = ReportOutline.of(record, with_tenants=True)
    assert outline.evidence == record.to_evidence()
    assert outline.evidence.reason.sentence == record.reason
    assert [(item.id, item.compared) for item in outline.observations] == [
        (row.id, row.compared) for row in record.observations]
    assert outline.lists_every_tenant is (len({row.tenant for row in record.tenants}) >= (record.tenants_scanned or 0))
    assert outline.tenants is not None
    assert outline.tenants.drifting.keys() == {row.tenant for row in record.tenants if row.drift}


def test_first_outline_without_a_gate_policy_has_its_evidence() -> None:
    record = History([observation(DAY, compared={})]).record(DAY)
    assert ReportOutline.of(record).sharing({}).evidence == record.to_evidence()


def test_outline_keeps_what_the_gates_of_tenants_need() -> None:
    [(day, [compared])] = clean_week(length=1).by_day.items()
    facts = {"keys_in_flux": 3, "coverage": {"left": ["acme"], "left_count": 120}}
    history = History([compared.model_copy(update={"compared": {**compared.compared, **facts}})])
    [about] = ReportOutline.of(history.record(day), with_tenants=True).about_tenants()
    assert about == TenantObservation.of_rows(about.observed, {}, 0)
    assert about.departures == "cut off"
    assert about.observed.compared["keys_in_flux"] == 3


@pytest.mark.parametrize("seed", range(20))
def test_random_trail_has_the_same_evidence_and_findings_with_shared_parts(seed: int) -> None:
    chance = random.Random(seed)
    _, reports = random_trail(chance)
    history = random_history(chance)
    for records in (reports, {day: history.record(day) for day in history.by_day}):
        if records:
            day = chance.choice(sorted(records))
            lie = forged(records[day], streak_days=records[day].streak_days + chance.choice((-1, 1, 3)) % 9)
            for trail in (records, {**records, day: lie}):
                apart = {day: ReportOutline.of(record) for day, record in trail.items()}
                assert all(apart[day].evidence == trail[day].to_evidence() for day in trail)
                assert disagreements_of(trail) == list(disagreements(apart, set(trail)))


def test_outlines_that_share_parts_have_only_their_own() -> None:
    known: dict[Hashable, Any] = {}
    for record in (*CASES.values(), *CASES.values()):
        apart = ReportOutline.of(record, with_tenants=True)
        *earlier, last = apart.gate.window
        window = (*earlier, replace(last, oldest=None))  # other windows do not show it
        assert apart.sharing(known) == replace(apart, gate=replace(apart.gate, window=window))


def test_outlines_that_share_parts_keep_the_sentence_of_their_own_evidence() -> None:
    record = CASES["fail_with_samples"]
    value = record.as_json_value()
    reworded = forged(record, reason="Other words.", observations=[
        {**shown, "reason": "Other words."} for shown in value["observations"]])
    known: dict[Hashable, Any] = {}
    sentences = [ReportOutline.of(item).sharing(known).evidence.reason.sentence for item in (record, reworded)]
    assert sentences == [record.reason, "Other words."]


def test_verification_keeps_little_of_each_report(tmp_path: Path) -> None:
    """The rows and the drifting tenants differ from day to day, so there is nothing that outlines could share."""
    days = sorted(days_back(*range(40)))
    for directory, of_trail in (("short", days[-4:]), ("long", days)):
        history = clean_week(length=len(of_trail))
        for day in of_trail:
            breakdown = [
                row(f"tenant {number}", entity, rows=day.toordinal() + number)
                for number in range(200) for entity in ("units", "members")]
            write_report(tmp_path / directory, history.record(day, breakdown))
    verify_trail(tmp_path / "short")  # what is loaded once
    per_report = (peak(tmp_path / "long") - peak(tmp_path / "short")) / (len(days) - 4)
    assert per_report < 5_000  # a record has a hundred times that


def peak(directory: Path) -> int:
    """Return how many bytes verification of a sound trail needs at most at one time."""
    tracemalloc.start()
    try:
        assert verify_trail(directory).sound
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
