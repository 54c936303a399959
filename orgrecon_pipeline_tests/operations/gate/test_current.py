"""The gate from a ledger and from the trail of its reports: the same evidence gives the same answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal

import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.defs.gate_check import gate_now
from orgrecon_pipeline.domain.evidence import Observation, Provenance, Verdict
from orgrecon_pipeline.domain.mapping import GatePolicy
from orgrecon_pipeline.ledger.open import open_ledger
from orgrecon_pipeline.operations.clock import read_clock
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.gate import dagster_client as dagster_gate
from orgrecon_pipeline.operations.gate.current import GateAnswer, current_gate
from orgrecon_pipeline.operations.gate.current_state import state_before_run
from orgrecon_pipeline.operations.gate.sources import answer_gate, answer_gate_from_dagster
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline_tests.support.report.cases import COMPARED, observation

TODAY = datetime.now(timezone.utc).date()
WEEK = [TODAY - timedelta(days=back) for back in range(6, -1, -1)]


def under(place: Path, **gate: Any) -> None:
    """A mapping in force, with such a gate."""
    mapping = default_mapping()
    mapping = mapping.model_copy(update={"gate": mapping.gate.model_copy(update=gate)})
    (place / "orgrecon.yaml").write_text(mapping.model_dump_json(by_alias=True), "utf-8")


def kept(place: Path, observations: Sequence[Observation]) -> Context:
    """A ledger of these observations, with a report of every day."""
    work = Context(default_mapping(), open_ledger(f"sqlite:///{place / 'ledger.db'}"), place / "reports")
    for seen in observations:
        work.ledger.append(seen, (), (), ())
    for day in work.ledger.days():
        publish(work, day)
    return work


def answers(place: Path, day: date | None = None, **environ: str) -> dict[Literal["ledger", "trail"], GateAnswer]:
    """The gate from both places."""
    settings = read_settings({"ORGRECON_LEDGER_URL": f"sqlite:///{place / 'ledger.db'}",
                              "ORGRECON_MAPPING": str(place / "orgrecon.yaml"), **environ})
    return {"ledger": answer_gate(settings, trail=None, day=day, require_live=0),
            "trail": answer_gate(settings, trail=place / "reports", day=day, require_live=0)}


def test_gate_with_same_day_worst_is_the_same_from_ledger_and_trail(tmp_path: Path) -> None:
    """By the mapping in force, whatever the reports were made under."""
    failed = observation(WEEK[3], Verdict.FAIL, hour=1)
    work = kept(tmp_path, [failed, *(observation(day, hour=2) for day in WEEK)])
    under(tmp_path, same_day="latest")
    assert [answer.open for answer in answers(tmp_path).values()] == [True, True]
    under(tmp_path, same_day="worst")
    told = answers(tmp_path)
    assert not told["trail"].open
    assert told["trail"].as_json_value() == told["ledger"].as_json_value()
    policy = work.mapping.gate.model_copy(update={"same_day": "worst"})
    elsewhere = open_ledger(f"sqlite:///{tmp_path / 'new.db'}")
    before = state_before_run(elsewhere, policy, work.clock.now(), work.output_dir)
    assert before.days[WEEK[3]].verdict is Verdict.FAIL


def injected(place: Path, day: date) -> str:
    """A clock that stands at the noon of a day."""
    (place / "now").write_text(f"{day}T12:00:00Z", "ascii")
    return str(place / "now")


@pytest.mark.parametrize(("provenance", "opened"), [
    (Provenance.LIVE, False), (Provenance.RESTORED, False), (Provenance.BASELINE, True), (Provenance.SIMULATED, True)])
def test_gate_with_injected_clock_keeps_old_real_evidence_closed(
    provenance: Provenance, opened: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    days = [day - timedelta(days=30) for day in WEEK]
    work = kept(tmp_path, [observation(day, provenance=provenance) for day in days])
    under(tmp_path)
    now = injected(tmp_path, days[-1])
    told = answers(tmp_path, ORGRECON_SIMULATED_NOW_FILE=now)
    assert {place: answer.open for place, answer in told.items()} == {"ledger": opened, "trail": opened}
    assert gate_now(replace(work, clock=read_clock({SIMULATED_NOW_VARIABLE: now}))).open is opened

    def deployment(*_: Any, **__: Any) -> GateAnswer:
        moment = datetime(days[-1].year, days[-1].month, days[-1].day, 12, tzinfo=timezone.utc)
        return current_gate(work.ledger.evidence(date.max, "latest"), GatePolicy(), moment)

    monkeypatch.setattr(dagster_gate, "ask_dagster", deployment)
    settings = read_settings({"ORGRECON_MAPPING": str(tmp_path / "orgrecon.yaml"), "ORGRECON_SIMULATED_NOW_FILE": now})
    assert answer_gate_from_dagster(settings, "http://localhost", require_live=0).open is opened


@pytest.mark.parametrize(("rule", "asked"), [
    ("window_days", 14), ("min_live_days", 3), ("same_day", "worst")])
def test_gate_of_trail_with_stricter_policy_than_mapping_is_closed(rule: str, asked: int | str, tmp_path: Path) -> None:
    """A checkout without the mapping at hand: the newest report says what is asked for."""
    strict = {**COMPARED, "gate": {**COMPARED["gate"], rule: asked}}
    kept(tmp_path, [observation(day, compared=strict) for day in WEEK])
    under(tmp_path)
    told = answers(tmp_path)["trail"]
    assert not told.open
    assert f"asks for gate.{rule}: {asked}, " in told.decision.reason.sentence
    under(tmp_path, **{rule: asked})
    assert "asks for" not in answers(tmp_path)["trail"].decision.reason.sentence
