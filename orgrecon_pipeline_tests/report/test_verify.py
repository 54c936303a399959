"""Verification of a trail: removed, moved and forged reports become findings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from orgrecon_pipeline.domain.drift.kinds import Counts
from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.gate.day_decision import conditions_of
from orgrecon_pipeline.domain.gate.state import GateState
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline.report.verify import report_files
from orgrecon_pipeline_tests.support.default_identity import read_trail, verify_trail
from orgrecon_pipeline_tests.support.report.cases import (
    COMPARED,
    DAY,
    History,
    clean_week,
    days_back,
    forged,
    observation,
)


def path_of(directory: Path, day: date) -> Path:
    return directory / f"{day}.md"


def write(directory: Path, record: Record) -> Path:
    path = path_of(directory, record.day)
    path.write_bytes(render(record).encode())
    return path


def write_all(directory: Path, history: History) -> None:
    for day in history.by_day:
        write(directory, history.record(day))


def figures(**drift: int) -> str:
    """Return the figures of all kinds as a finding shows them."""
    return "/".join(map(str, Counts.of(drift).values()))


def two_weeks() -> History:
    """Twelve days that end with DAY; the one ten days before DAY is a FAIL, the others are clean."""
    history = clean_week(length=12)
    history.by_day[days_back(10)[0]] = [observation(days_back(10)[0], Verdict.FAIL)]
    return history


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    write_all(tmp_path, two_weeks())
    (tmp_path / "README.md").write_text("What this is.\n")
    return tmp_path


def findings(directory: Path) -> list[str]:
    verification = verify_trail(directory)
    assert verification.sound is not bool(verification.findings)
    assert not any("\n" in finding for finding in verification.findings)
    return list(verification.findings)


def test_unchanged_trail_is_sound(trail: Path) -> None:
    verification = verify_trail(trail)
    assert verification.findings == ()
    assert (verification.sound, verification.reports, verification.holes) == (True, 12, ())
    days = sorted(map(str, days_back(*range(12))))
    assert verification.as_json_value() == {
        "sound": True, "reports": 12, "findings": [], "holes": [], "outdated": [],
        "states": dict.fromkeys(days, "sound")}
    assert [day for day, _ in report_files(trail)] == sorted(days_back(*range(12)))


def test_trail_with_a_missing_day_is_sound_and_lists_the_hole(tmp_path: Path) -> None:
    history = two_weeks()
    hole = days_back(4)[0]
    del history.by_day[hole]
    write_all(tmp_path, history)
    verification = verify_trail(tmp_path)
    assert verification.findings == ()
    assert verification.holes == (hole,)
    assert verification.as_json_value()["holes"] == [str(hole)]


def test_removed_report_is_one_finding(trail: Path) -> None:
    day = days_back(4)[0]
    path_of(trail, day).unlink()
    assert findings(trail) == [
        f"{path_of(trail, day)} is not there, but the report of {day + timedelta(days=1)} shows that day as PASS: "
        "restore it from version control."
    ]


def test_removed_report_of_a_failed_day_is_a_finding(trail: Path) -> None:
    day = days_back(10)[0]
    path_of(trail, day).unlink()
    assert "shows that day as FAIL" in findings(trail)[0]


def test_edited_report_is_the_only_finding(trail: Path) -> None:
    path = path_of(trail, days_back(4)[0])
    path.write_bytes(path.read_bytes().replace(b"GATE CLOSED", b"GATE OPEN"))
    problems = findings(trail)
    assert len(problems) == 1
    assert str(path) in problems[0]
    assert "was edited: line 4" in problems[0]


def test_trail_that_begins_on_any_day_is_sound(trail: Path) -> None:
    for day in sorted(days_back(*range(1, 12))):
        path_of(trail, day).unlink()
        assert findings(trail) == []


def test_swapped_reports_are_findings(trail: Path) -> None:
    later, earlier = (path_of(trail, day) for day in days_back(2, 10))
    later_text, earlier_text = later.read_bytes(), earlier.read_bytes()
    later.write_bytes(earlier_text)
    earlier.write_bytes(later_text)
    assert sum("holds the record of" in finding for finding in findings(trail)) == 2


def test_replaced_verdict_is_a_finding_for_every_later_window(trail: Path) -> None:
    """A forged report makes the failed day clean, with a valid digest and a consistent window."""
    history = two_weeks()
    day = days_back(10)[0]
    history.by_day[day] = [observation(day)]
    write(trail, history.record(day))
    problems = findings(trail)
    later = sorted(days_back(*range(10)))
    assert [finding.split(" ")[0] for finding in problems] == [str(path_of(trail, day)) for day in later]
    shown, reported = f"FAIL (live, {figures(missing=1)})", f"PASS (live, {figures()})"
    assert f"shows {day} as {shown}, but the report of that day shows {reported}" in problems[0]
    assert "shows a streak of 7, but the reports give 9" in problems[6]


def test_late_evidence_for_a_missing_day_asks_to_render_later_days_again(trail: Path) -> None:
    history = two_weeks()
    hole = days_back(4)[0]
    restored = observation(hole, provenance=Provenance.RESTORED)
    del history.by_day[hole]
    write_all(trail, history)
    path_of(trail, hole).unlink()
    assert findings(trail) == []
    history.add(restored)
    write(trail, history.record(hole))
    assert findings(trail) == []
    assert sorted(verify_trail(trail).outdated) == sorted(days_back(0, 1, 2, 3))
    assert all(f"shows {hole} as MISSING" in line and "arrived later" in line
               for line in verify_trail(trail).outdated.values())
    write_all(trail, history)
    assert not verify_trail(trail).outdated


LATEST = clean_week().record(DAY)


def row(at: int, **changes: Any) -> dict[str, Any]:
    rows = LATEST.as_json_value()["window"]
    rows[at].update(changes)
    return {"window": rows}


def observed_under(policy: Any) -> dict[str, Any]:
    """Return the changes that give the latest day, and the observation that decides it, another gate policy."""
    compared = {**COMPARED, "gate": policy}
    [deciding] = LATEST.as_json_value()["observations"]
    return {"compared": compared, "observations": [{**deciding, "compared": conditions_of(compared)}]}


def easier_gate(**policy: Any) -> dict[str, Any]:
    """Return the changes that make the gate of the latest day count fewer days."""
    gate = LATEST.as_json_value()["gate"]
    return {"gate": {**gate, "policy": {**gate["policy"], **policy}}, "live_days": policy["window_days"]}


@pytest.mark.parametrize(("changes", "expected"), [
    pytest.param({"streak_days": 8}, "streak of 8", id="a longer streak"),
    pytest.param({"streak_days": 5, "live_days": 5}, "streak of 5", id="a shorter streak"),
    pytest.param({"gate": {**LATEST.as_json_value()["gate"], "state": "CLOSED"}}, "GATE CLOSED", id="state"),
    pytest.param({"gate": {**LATEST.as_json_value()["gate"], "reason_code": "baseline"}}, "reason", id="reason code"),
    pytest.param({"gate": {**LATEST.as_json_value()["gate"], "reason_parameters": {}}}, "reason", id="parameters"),
    pytest.param({"gate": {**LATEST.as_json_value()["gate"], "earliest_open_day": "2026-12-01"}}, "earliest", id="day"),
    pytest.param(row(2, eligible=False, reason_code="other_mapping"), "does not count", id="eligibility"),
    pytest.param(row(2, provenance="restored") | {"live_days": 6}, "restored", id="a provenance"),
    pytest.param(row(2, verdict="FAIL", missing=1, eligible=False, reason_code="drift"),
                 f"FAIL (live, {figures(missing=1)})", id="a verdict"),
    pytest.param(row(2, reason_code="eligible_before_streak"), "2026-11-19 counts", id="a reason in the window"),
    pytest.param(row(2, reason_parameters={"x": 1}), "2026-11-19 counts", id="a parameter in the window"),
    pytest.param(observed_under({"window_days": 14}), "looser policy", id="a policy that asks for more"),
    pytest.param(observed_under({"window_days": 3}) | easier_gate(window_days=3), "looser policy", id="an easier gate"),
    pytest.param({"compared": {**COMPARED, "gate": {"window_days": 3}}}, "conditions", id="other conditions"),
])
def test_forged_gate_is_a_finding(changes: Mapping[str, Any], expected: str, tmp_path: Path) -> None:
    write_all(tmp_path, clean_week())
    write(tmp_path, forged(LATEST, **changes))
    problems = findings(tmp_path)
    assert len(problems) == 1
    assert expected in problems[0]


def test_open_gate_without_clean_days_is_a_finding(tmp_path: Path) -> None:
    """The window of the only report closes the gate that the report shows as OPEN."""
    history = clean_week(length=3)
    record = history.record(DAY)
    write(tmp_path, forged(record, gate={**record.as_json_value()["gate"], "state": "OPEN"}))
    assert "shows GATE OPEN, but the reports give CLOSED" in findings(tmp_path)[0]


def test_removing_the_reports_that_close_the_gate_is_a_finding(tmp_path: Path) -> None:
    """Baselines after a live day do not count, but without the report of that day they would."""
    live, *after = sorted(days_back(*range(9)))
    history = History([observation(live)])
    for day in after:
        history.add(observation(day, provenance=Provenance.BASELINE))
    write_all(tmp_path, history)
    assert findings(tmp_path) == []
    assert history.record(DAY).gate.state is GateState.CLOSED
    path_of(tmp_path, live).unlink()
    assert findings(tmp_path)


def test_removing_the_only_real_day_of_a_simulated_trail_is_a_finding(tmp_path: Path) -> None:
    """Simulated days count only in a trail in which every day is simulated."""
    live, *after = sorted(days_back(*range(8)))
    history = History([observation(live)])
    for day in after:
        history.add(observation(day, provenance=Provenance.SIMULATED))
    write_all(tmp_path, history)
    assert findings(tmp_path) == []
    path_of(tmp_path, live).unlink()
    assert findings(tmp_path) == [
        f"{path_of(tmp_path, DAY)} shows GATE CLOSED, but the reports of this trail alone would open it: "
        "add the earlier reports."
    ]


def test_changed_same_day_rule_is_not_a_finding(tmp_path: Path) -> None:
    """Yesterday was decided by its latest observation; today's report uses the worst observation of every day."""
    yesterday = days_back(1)[0]
    worst = {**COMPARED, "gate": {**COMPARED["gate"], "same_day": "worst"}}
    history = History([observation(yesterday, Verdict.FAIL, hour=6), observation(yesterday, hour=9),
                       observation(compared=worst)])
    write_all(tmp_path, history)
    assert history.record(yesterday).verdict is Verdict.PASS
    assert history.record(DAY).window[-2].verdict is Verdict.FAIL
    assert findings(tmp_path) == []


def test_file_that_only_looks_like_a_report_is_a_finding(trail: Path) -> None:
    odd = ["2026-1-1.md", "20261101.md", "2026-02-30.md", "2026-11-23.MD", "2026-11-23 (1).md", "2026-11-23 copy.md",
           "2026_11_23.md", "٢٠٢٦-١١-٢٣.md", "2026-11-23.markdown", "2026-11-23.md\n"]
    fine = ["notes.md", "2026-11-23.txt", "2026-11-23-incident.md", "2026.md", ".2026-11-23.md.0123456789abcdef.tmp"]
    for name in odd + fine:
        (trail / name).write_text("x")
    problems = findings(trail)
    assert len(problems) == len(odd)
    assert all("looks like a report, but is not named YYYY-MM-DD.md" in finding for finding in problems)


def test_link_or_directory_in_place_of_a_report_is_a_finding(trail: Path) -> None:
    path_of(trail, DAY).rename(trail / "elsewhere")
    path_of(trail, DAY).symlink_to("elsewhere")
    assert "symbolic link" in findings(trail)[0]
    path_of(trail, DAY).unlink()
    path_of(trail, DAY).mkdir()
    assert "not a regular file" in findings(trail)[0]


def test_directory_without_reports_is_not_sound(tmp_path: Path) -> None:
    assert findings(tmp_path) == [f"{tmp_path} holds no report: there is nothing to verify."]
    absent = tmp_path / "absent"
    assert findings(absent) == [f"{absent} does not exist: name the directory that holds the reports."]
    (tmp_path / "file").write_text("x")
    assert "cannot be read" in findings(tmp_path / "file")[0]
    assert "cannot be read" in findings(tmp_path / "a\0b")[0]
    assert "cannot be read" in findings(tmp_path / ("x" * 5000))[0]
    assert report_files(absent) == []


def test_file_name_that_is_not_utf8_is_ignored(trail: Path) -> None:
    (Path(os.fsdecode(bytes(trail) + b"/\xff\xfe.md"))).write_text("x")
    assert findings(trail) == []


def test_report_for_the_first_days_of_the_calendar_is_one_finding(tmp_path: Path) -> None:
    record = clean_week().record(DAY)
    rows = [{**row, "day": f"0001-01-0{at + 1}"} for at, row in enumerate(record.as_json_value()["window"])][-2:]
    value = forged(record, day="0001-01-02", window=[{**row, "day": day} for row, day in zip(
        rows, ("0001-01-01", "0001-01-02"), strict=True)], streak_days=2, live_days=2)
    write(tmp_path, value).rename(tmp_path / "0001-01-02.md")
    assert len(findings(tmp_path)) == 1


def test_evidence_of_a_record_equals_the_evidence_of_the_ledger() -> None:
    history = clean_week()
    history.by_day[DAY] = [observation(hour=6, verdict=Verdict.FAIL), observation(hour=9)]
    evidence = history.record(DAY).to_evidence()
    assert evidence == history.evidence()[DAY]
    assert evidence.under(GatePolicy()).verdict is Verdict.PASS
    assert evidence.under(GatePolicy(same_day="worst")).verdict is Verdict.FAIL
    baseline = History([observation(provenance=Provenance.BASELINE), observation(verdict=Verdict.INCONCLUSIVE)])
    assert not baseline.record(DAY).to_evidence().saw_a_tenant
    assert history.record(DAY).to_evidence().saw_a_tenant


def test_read_trail_keeps_the_sound_reports(trail: Path) -> None:
    path_of(trail, DAY).write_text("x")
    trail_read = read_trail(trail)
    assert sorted(trail_read.files) == sorted(days_back(*range(12)))
    assert sorted(trail_read.records) == sorted(days_back(*range(1, 12)))
    assert len(trail_read.findings) == 1
