"""Rewording: a program in which every sentence of every reason has changed still accepts an older trail unchanged."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.domain.canonical import sha256_of
from orgrecon_pipeline.domain.evidence import Observation, Provenance, Verdict
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.domain.reasons import Reason, ReasonCode
from orgrecon_pipeline.operations.clock import Clock
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.gate.dagster_client import Question, decide_from_data
from orgrecon_pipeline.operations.trail.importer import import_trail
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline.operations.trail.stale_reports import stale_reports
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline_tests.support.default_identity import (
    IDENTITY,
    current_gate,
    open_ledger,
    read_report,
    sync_trail,
    verify_trail,
)
from orgrecon_pipeline_tests.support.defs.world import wrapped
from orgrecon_pipeline_tests.support.report.cases import DAY, observation

POLICY = GatePolicy()
NOW = datetime.combine(DAY, time(12), timezone.utc)


def day(back: int) -> date:
    return DAY - timedelta(days=back)


#: Windows with every reason why a day counts or not; each trail makes the gate give another reason.
TRAILS: dict[str, list[Observation]] = {
    "open": [observation(day(back)) for back in range(9)],
    "a failed day": [observation(day(0), Verdict.FAIL), *(observation(day(back)) for back in range(1, 9))],
    "a missing day": [observation(day(back)) for back in (0, 1, 2, 5, 6, 7, 8)],
    "a baseline after a tenant": [
        observation(day(2), provenance=Provenance.BASELINE), *(observation(day(back)) for back in (0, 1, 3, 4, 5))],
    "another mapping": [
        observation(day(back), mapping_digest=sha256_of("older") if back > 2 else sha256_of("newer"))
        for back in range(9)],
    "a simulation with a real day": [
        *(observation(day(back), provenance=Provenance.SIMULATED) for back in range(7)), observation(day(7))],
    "an undecided day for every reason": [
        *(observation(day(back)) for back in range(1, 7)),
        *(observation(day(0), Verdict.INCONCLUSIVE, hour=number % 24,
                      reason=Reason.word(code, f"The old sentence of {code.value}.", detail=code.value))
          for number, code in enumerate(ReasonCode)),
    ],
}


def context_of(directory: Path) -> Context:
    return Context(default_mapping(), open_ledger(f"sqlite:///{directory / 'ledger.db'}"), directory / "reports")


def contents(context: Context) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in context.output_dir.iterdir()}


def gate_of_trail(context: Context) -> dict[str, Any]:
    verification = verify_trail(context.output_dir)
    assert verification.findings == ()
    days = {d: report.evidence for d, report in verification.records.items()}
    return current_gate(days, POLICY, NOW).as_json_value()


def gate_of_ledger(context: Context) -> dict[str, Any]:
    return current_gate(context.ledger.evidence(date.max), POLICY, NOW).as_json_value()


def without_sentences(answer: dict[str, Any]) -> dict[str, Any]:
    window = [{name: value for name, value in row.items() if name != "reason"} for row in answer["window"]]
    return {**{name: value for name, value in answer.items() if name != "reason"}, "window": window}


@pytest.fixture(params=TRAILS)
def old(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A ledger and the reports of all its days, made before every sentence of the program changed."""
    (tmp_path / "old").mkdir()
    context = context_of(tmp_path / "old")
    for item in TRAILS[request.param]:
        context.ledger.append(item, (), (), ())
    for d in context.ledger.days():
        publish(context, d)

    def reword(cls: type[Reason], code: ReasonCode, sentence: str, **parameters: Any) -> Reason:
        return cls(code, parameters, f"Reworded: {code.value} <{sentence[::-1]}>")

    monkeypatch.setattr(Reason, "word", classmethod(reword))
    return context


#: A ledger refuses to import simulated reports beside real ones.
importable = pytest.mark.parametrize("old", [name for name in TRAILS if "simulation" not in name], indirect=True)


def test_reworded_program_finds_an_older_trail_sound_and_renders_its_old_bytes(old: Context) -> None:
    before = contents(old)
    assert verify_trail(old.output_dir).sound
    for path in old.output_dir.iterdir():
        record = read_report(path)
        assert render(record).encode() == before[path.name]
        publish(old, record.day)
    assert contents(old) == before
    assert list(stale_reports(old, old.ledger.days(), old.ledger.days())) == []


@importable
def test_reworded_program_gives_the_same_gate_from_an_older_trail_and_a_ledger_rebuilt_from_it(
    old: Context, tmp_path: Path
) -> None:
    expected = read_report(max(old.output_dir.iterdir()))
    (tmp_path / "rebuilt").mkdir()
    rebuilt = context_of(tmp_path / "rebuilt")
    imported = import_trail(rebuilt.ledger, old.output_dir, clock=Clock(lambda: NOW))
    assert imported.refused == ()
    gate = gate_of_trail(old)
    assert gate == gate_of_ledger(rebuilt) == gate_of_ledger(old)
    assert gate["reason"].startswith("Reworded: ")
    assert (gate["state"], gate["streak_days"]) == (expected.gate.state.value, expected.streak_days)
    assert gate["reason_code"] == expected.gate.reason_code.value
    assert gate["reason_parameters"] == expected.gate.reason_parameters


@importable
def test_reworded_reports_and_older_ones_agree_with_one_another(old: Context, tmp_path: Path) -> None:
    (tmp_path / "rebuilt").mkdir()
    rebuilt = context_of(tmp_path / "rebuilt")
    import_trail(rebuilt.ledger, old.output_dir, clock=Clock(lambda: NOW))
    for d in rebuilt.ledger.days():
        reworded = publish(rebuilt, d)
        assert "Reworded: " in reworded.record.gate.reason
        assert reworded.record.reason == read_report(old.output_dir / f"{d}.md").reason
    assert verify_trail(rebuilt.output_dir).sound
    before = contents(old)
    result = sync_trail(rebuilt.output_dir, old.output_dir, DAY, DAY)
    assert (result.copied, result.kept, result.conflicts, result.disagreements) == ({}, {}, [], [])
    assert contents(old) == before
    newest = max(old.output_dir.iterdir())
    newest.write_bytes((rebuilt.output_dir / newest.name).read_bytes())
    assert verify_trail(old.output_dir).findings == ()


def test_reworded_client_accepts_the_answer_of_an_older_dagster_deployment(old: Context) -> None:
    days = old.ledger.evidence(date.max)
    answer = current_gate(days, POLICY, NOW, ledger=old.ledger.id).as_json_value()
    older = {**answer, "reason": "An older sentence.",
             "window": [{**row, "reason": "An older sentence."} for row in answer["window"]]}
    passed = answer["state"] == "OPEN"
    response = wrapped({
        "status": "SUCCEEDED" if passed else "FAILED", "evaluation": {
            "success": passed, "timestamp": NOW.timestamp(), "metadataEntries": [
                {"label": "answer", "jsonString": json.dumps(older)}, {"label": "claims", "jsonString": "[]"}]}})
    decided = decide_from_data(response["data"], Question(IDENTITY, POLICY), NOW)
    assert without_sentences(decided.as_json_value()) == without_sentences(answer)
