"""Outdated reports were right until evidence of an earlier day arrived; forged ones are unsound."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from orgrecon_pipeline.domain.canonical import sha256_of
from orgrecon_pipeline.domain.evidence import Observation, Provenance, Verdict
from orgrecon_pipeline.domain.gate.decision import DayEvidence, decide_gate
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.domain.record import Record, WindowDay
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline_tests.support.default_identity import verify_trail
from orgrecon_pipeline_tests.support.report.cases import (
    COMPARED,
    DAY,
    History,
    days_back,
    disagreements_of,
    forged,
    observation,
)

LIVE, BASELINE, RESTORED = Provenance.LIVE, Provenance.BASELINE, Provenance.RESTORED
PASS, FAIL = Verdict.PASS, Verdict.FAIL
OTHER_LEDGER = "fedcba9876543210"


def states(reports: Mapping[date, Record]) -> dict[date, str]:
    """Return the state of every report in a trail, without the days whose reports were removed."""
    found = dict.fromkeys(reports, "sound")
    for disagreement in disagreements_of(reports):
        if disagreement.day in found and found[disagreement.day] != "unsound":
            found[disagreement.day] = "outdated" if disagreement.outdated else "unsound"
    return found


def known(*observations: Observation) -> History:
    return History(observations)


def from_ledger(ledger: str, item: Observation) -> Observation:
    moved = item.model_copy(update={"ledger": ledger})
    return moved.model_copy(update={"id": sha256_of([ledger, item.id])[:16]})


def baseline(back: int) -> Observation:
    return observation(days_back(back)[0], provenance=BASELINE)


def live(back: int, verdict: Verdict = PASS, **fields: Any) -> Observation:
    return observation(days_back(back)[0], verdict, **fields)


def test_baselines_merged_late_leave_a_sound_trail_with_outdated_reports(tmp_path: Path) -> None:
    """Each pull request was opened from a main branch without the reports of the others."""
    for back in (2, 1, 0):
        day = days_back(back)[0]
        (tmp_path / f"{day}.md").write_text(render(known(baseline(back)).record(day)))
    verification = verify_trail(tmp_path)
    assert (verification.sound, verification.findings) == (True, ())
    first, second, third = days_back(2, 1, 0)
    assert verification.as_json_value()["states"] == {
        str(first): "sound", str(second): "outdated", str(third): "outdated"}
    assert list(verification.outdated) == [second, third]
    assert f"{tmp_path / f'{second}.md'} shows {first} as MISSING" in verification.outdated[second]
    assert "evidence of an earlier day arrived later" in verification.outdated[second]


CASES = {
    "a restored day fills a hole": (
        known(live(0)), [observation(days_back(3)[0], provenance=RESTORED)], "outdated"),
    "a live report replaces a baseline that the window shows": (
        known(baseline(1), baseline(0)), [live(1, FAIL)], "outdated"),
    "a live report from before the window arrives, and baselines no longer count": (
        known(*map(baseline, range(9))), [live(8)], "outdated"),
    "the live report of another ledger arrives": (
        known(live(1), live(0)), [live(1), from_ledger(OTHER_LEDGER, live(1, FAIL, hour=6))], "outdated"),
    "a later rerun of another ledger arrives": (
        known(live(1), live(0)), [live(1), from_ledger(OTHER_LEDGER, live(1, FAIL, hour=23))], "outdated"),
    "the ledger of the report stored a FAIL before, which the window shows as MISSING": (
        known(live(0)), [live(1, FAIL)], "unsound"),
    "the ledger of the report stored a FAIL before, which the window shows as a baseline": (
        known(baseline(1), live(0)), [live(1, FAIL)], "unsound"),
    "the ledger of the report stored a rerun before, which the window does not show": (
        known(live(1), live(0)), [live(1), live(1, FAIL, hour=9)], "unsound"),
    "the window shows a comparison that the trail does not have": (
        known(live(1), baseline(0)), [baseline(1)], "unsound"),
    "the window shows a PASS of a day that failed": (
        known(live(1), baseline(0)), [live(1, FAIL)], "unsound"),
}


@pytest.mark.parametrize("case", CASES)
def test_report_is_outdated_only_if_evidence_can_have_arrived_later(case: str) -> None:
    then, arrived, expected = CASES[case]
    now = History(item for of_day in then.by_day.values() for item in of_day)
    for day in {item.day for item in arrived}:
        now.by_day[day] = [item for item in arrived if item.day == day]
    reports = {day: now.record(day) for day in now.by_day if day != DAY} | {DAY: then.record(DAY)}
    assert states(reports) == dict.fromkeys(reports, "sound") | {DAY: expected}


OUTDATED = known(*map(baseline, (0, 1, 3, 4, 5, 6))).record(DAY)
NOW = known(*map(baseline, range(12)))


def row(at: int, **changes: Any) -> dict[str, Any]:
    rows = OUTDATED.as_json_value()["window"]
    rows[at].update(changes)
    return {"window": rows}


def gate(**changes: Any) -> dict[str, Any]:
    return {"gate": {**OUTDATED.as_json_value()["gate"], **changes}}


@pytest.mark.parametrize("changes", [
    {"streak_days": 3}, {"streak_days": 1}, {"streak_days": 10**12}, gate(state="OPEN"),
    gate(earliest_open_day=str(DAY)), gate(reason_code="window_clean", reason_parameters={}),
    gate(reason_parameters={**OUTDATED.gate.reason_parameters, "day": str(DAY)}),
    row(0, verdict="FAIL", missing=1, eligible=False, reason_code="drift"), row(1, provenance="live"),
    row(1, eligible=False, reason_code="other_mapping"),
    row(1, eligible=False, reason_code="baseline_after_tenant", reason_parameters={"first_tenant_day": "2026-11-01"}),
], ids=str)
def test_forged_report_does_not_pass_as_outdated(changes: Mapping[str, Any]) -> None:
    reports = {day: NOW.record(day) for day in NOW.by_day}
    assert states(reports | {DAY: OUTDATED})[DAY] == "outdated"
    assert states(reports | {DAY: forged(OUTDATED, **changes)})[DAY] == "unsound"


def test_removed_report_does_not_pass_as_outdated() -> None:
    reports = {day: NOW.record(day) for day in NOW.by_day} | {DAY: OUTDATED}
    removed = days_back(4)[0]
    del reports[removed]
    assert [found.day for found in disagreements_of(reports) if not found.outdated] == [removed]


# Every version in which a day can have been known, oldest first: no evidence, a baseline, more and more observations.
def versions_of(observations: Sequence[Observation], later: Sequence[Observation]) -> list[list[Observation]]:
    """Return the versions of a day that a report with the observations ``later`` can have known."""
    certain = [earlier for earlier in observations for other in later
               if earlier.ledger and earlier.ledger == other.ledger and RESTORED not in (
                   earlier.provenance, other.provenance)
               and earlier.observed_at and other.observed_at and earlier.observed_at <= other.observed_at]
    versions = [[], [observation(observations[0].day, provenance=BASELINE)]]
    versions += [list(observations[:length]) for length in range(1, len(observations) + 1)]
    return [version for version in versions if all(item in version for item in certain)]


def random_day(chance: random.Random, day: date, compared: Mapping[str, Any]) -> list[Observation]:
    if chance.random() < 0.45:
        return [observation(day, provenance=BASELINE)]
    items = [
        from_ledger(chance.choice((OTHER_LEDGER, OTHER_LEDGER, sha256_of(str(day))[:16])), observation(
            day, chance.choice((PASS, PASS, FAIL)), chance.choice((LIVE, LIVE, RESTORED)), hour=hour,
            tenants=chance.choice((0, 12)), compared=compared,
            mapping_digest=sha256_of(chance.choice(("one", "one", "two")))))
        for hour in sorted(chance.sample(range(24), chance.choice((1, 1, 2))))]
    return [item for item in items if item.verdict is PASS or item.tenants_scanned]


def random_trail(chance: random.Random) -> tuple[dict[date, list[Observation]], dict[date, Record]]:
    """Return the evidence of six days, and reports that each know some version of the days before."""
    compared = {**COMPARED, "gate": {"window_days": chance.choice((2, 3, 7)), "same_day": "latest", "min_live_days": 0}}
    days = sorted(chance.sample(days_back(*range(11)), 6))
    evidence = {day: of_day for day in days if (of_day := random_day(chance, day, compared))}
    reports = {}
    for day, of_day in evidence.items():
        history = History(of_day)
        for earlier in (earlier for earlier in evidence if earlier < day):
            if version := chance.choice(versions_of(evidence[earlier], of_day)):
                history.by_day[earlier] = version
        reports[day] = history.record(day)
    return evidence, reports


def plausible(record: Record, evidence: Mapping[date, list[Observation]]) -> bool:
    """Return whether any combination of versions gives exactly the report. Tries all of them."""
    earlier = [day for day in evidence if day < record.day]
    for combination in product(*(versions_of(evidence[day], record.to_observations()) for day in earlier)):
        days = {day: DayEvidence.of(day, version) for day, version in zip(earlier, combination, strict=True) if version}
        days[record.day] = record.to_evidence()
        decision = decide_gate(record.day, days, GatePolicy.model_validate(record.compared["gate"]))
        if (tuple(map(WindowDay.from_row, decision.window)) == record.window
                and (decision.streak_days, decision.state) == (record.streak_days, record.gate.state)):
            return True
    return False


@pytest.mark.parametrize("seed", range(40))
def test_random_reports_with_partial_knowledge_are_never_unsound(seed: int) -> None:
    evidence, reports = random_trail(random.Random(seed))
    found = states(reports)
    assert "unsound" not in found.values()
    now = History(item for of_day in evidence.values() for item in of_day)
    for day, state in found.items():
        assert (state == "sound") == reports[day].matches(now.record(day))


def forgeries(record: Record, days: Collection[date]) -> Iterator[Record]:
    """Yield the record with one claim about ``days`` changed, as somebody would who wants the gate to look better."""
    value = record.as_json_value()
    if record.day - timedelta(days=record.streak_days) >= min(days):
        yield forged(record, streak_days=record.streak_days + 1)
    for at, shown in enumerate(value["window"][:-1]):
        if date.fromisoformat(shown["day"]) not in days:
            continue
        clean = {"verdict": "PASS", "provenance": "baseline", "missing": 0, "unexpected": 0, "mismatched": 0,
                 "duplicate": 0, "new": None, "healed": None, "eligible": True, "reason": "", "reason_code": "eligible",
                 "reason_parameters": {}}
        for better in (clean, {**clean, "provenance": "live"}):
            if shown != {**shown, **better}:
                yield forged(record, window=[*value["window"][:at], {**shown, **better}, *value["window"][at + 1:]])


@pytest.mark.parametrize("seed", range(12))
def test_random_forgery_is_outdated_only_if_some_earlier_evidence_gives_it(seed: int) -> None:
    evidence, reports = random_trail(random.Random(seed))
    for day, record in list(reports.items())[-2:]:
        for forgery in forgeries(record, evidence):
            if states(reports | {day: forgery})[day] != "unsound":
                assert plausible(forgery, evidence)
