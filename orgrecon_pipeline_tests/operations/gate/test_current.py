"""The current gate from a ledger and from the trail of its reports: the same evidence gives the same answer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.domain.errors import LedgerUnavailable
from orgrecon_pipeline.domain.evidence import Observation, Provenance, Verdict
from orgrecon_pipeline.domain.gate.decision import decide_gate
from orgrecon_pipeline.domain.gate.state import GateState
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.domain.reasons import Reason, ReasonCode
from orgrecon_pipeline.metrics.snapshot import take_snapshot
from orgrecon_pipeline.operations.clock import read_clock
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.gate import dagster_client as dagster_gate
from orgrecon_pipeline.operations.gate import sources
from orgrecon_pipeline.operations.gate.current import GateAnswer
from orgrecon_pipeline.operations.gate.current_state import GATE_TOPIC, current_state, state_before_run
from orgrecon_pipeline.operations.gate.sources import answer_gate, answer_gate_from_dagster, evidence_of_context
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline.report.verify import report_files
from orgrecon_pipeline_tests.domain.gate.test_decision import TODAY as LAST_DAY
from orgrecon_pipeline_tests.domain.gate.test_decision import trail as days_of
from orgrecon_pipeline_tests.domain.gate.test_forecast import POLICIES
from orgrecon_pipeline_tests.support.default_identity import current_gate, open_ledger, verify_trail
from orgrecon_pipeline_tests.support.report.cases import COMPARED
from orgrecon_pipeline_tests.support.report.cases import observation as observation_of

TODAY = datetime.now(timezone.utc).date()
WEEK = [TODAY - timedelta(days=back) for back in range(6, -1, -1)]

#: Observations of the packaged mapping, which is also the mapping at hand.
observation = partial(observation_of, mapping_digest=default_mapping().digest)


def write_mapping(directory: Path, **gate: Any) -> None:
    """Write a mapping with this gate policy."""
    mapping = default_mapping()
    mapping = mapping.model_copy(update={"gate": mapping.gate.model_copy(update=gate)})
    (directory / "orgrecon.yaml").write_text(mapping.model_dump_json(by_alias=True), "utf-8")


def write_narrower_mapping(directory: Path) -> None:
    """Write the packaged mapping with fewer compared columns."""
    mapping = default_mapping()
    units = mapping.entities["org_units"].model_copy(update={"compare": ("name",)})
    narrower = mapping.model_copy(update={"entities": {**mapping.entities, "org_units": units}})
    (directory / "orgrecon.yaml").write_text(narrower.model_dump_json(by_alias=True), "utf-8")


def store(directory: Path, observations: Sequence[Observation]) -> Context:
    """Store observations in a ledger, and publish the report of every day."""
    context = Context(default_mapping(), open_ledger(f"sqlite:///{directory / 'ledger.db'}"), directory / "reports")
    for item in observations:
        context.ledger.append(item, (), (), ())
    for day in context.ledger.days():
        publish(context, day)
    return context


def answers(directory: Path, day: date | None = None, **environ: str) -> dict[Literal["ledger", "trail"], GateAnswer]:
    """Return the gate from the ledger and from the trail."""
    settings = read_settings({"ORGRECON_LEDGER_URL": f"sqlite:///{directory / 'ledger.db'}",
                              "ORGRECON_MAPPING": str(directory / "orgrecon.yaml"), **environ})
    return {"ledger": answer_gate(settings, trail=None, day=day, require_live=0),
            "trail": answer_gate(settings, trail=directory / "reports", day=day, require_live=0)}


def test_gate_with_same_day_worst_is_the_same_from_ledger_and_trail(tmp_path: Path) -> None:
    """The current mapping's policy applies, not that of the reports."""
    failed = observation(WEEK[3], Verdict.FAIL, hour=1)
    context = store(tmp_path, [failed, *(observation(day, hour=2) for day in WEEK)])
    write_mapping(tmp_path, same_day="latest")
    assert [answer.open for answer in answers(tmp_path).values()] == [True, True]
    write_mapping(tmp_path, same_day="worst")
    gates = answers(tmp_path)
    assert not gates["trail"].open
    assert replace(gates["trail"], ledger=gates["ledger"].ledger) == gates["ledger"]
    policy = context.mapping.gate.model_copy(update={"same_day": "worst"})
    elsewhere = open_ledger(f"sqlite:///{tmp_path / 'new.db'}")
    before = state_before_run(elsewhere, policy, context.clock.now(), context.output_dir)
    assert before.days[WEEK[3]].verdict is Verdict.FAIL


def simulated_now_file(directory: Path, day: date) -> str:
    """Write a file that sets the injected clock to noon of a day."""
    (directory / "now").write_text(f"{day}T12:00:00Z", "ascii")
    return str(directory / "now")


@pytest.mark.parametrize(("provenance", "opened"), [
    (Provenance.LIVE, False), (Provenance.RESTORED, False), (Provenance.BASELINE, True), (Provenance.SIMULATED, True)])
def test_gate_with_injected_clock_keeps_old_real_evidence_closed(
    provenance: Provenance, opened: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    days = [day - timedelta(days=30) for day in WEEK]
    context = store(tmp_path, [observation(day, provenance=provenance) for day in days])
    write_mapping(tmp_path)
    now = simulated_now_file(tmp_path, days[-1])
    gates = answers(tmp_path, ORGRECON_SIMULATED_NOW_FILE=now)
    assert {source: answer.open for source, answer in gates.items()} == {"ledger": opened, "trail": opened}
    clock = read_clock({"ORGRECON_SIMULATED_NOW_FILE": now})
    assert evidence_of_context(replace(context, clock=clock)).answer.open is opened

    def deployment(*_: Any, **__: Any) -> GateAnswer:
        moment = datetime(days[-1].year, days[-1].month, days[-1].day, 12, tzinfo=timezone.utc)
        return current_gate(context.ledger.evidence(date.max), GatePolicy(), moment)

    monkeypatch.setattr(dagster_gate, "ask_dagster", deployment)
    settings = read_settings({"ORGRECON_MAPPING": str(tmp_path / "orgrecon.yaml"), "ORGRECON_SIMULATED_NOW_FILE": now})
    assert answer_gate_from_dagster(settings, "http://localhost", require_live=0).open is opened


@pytest.mark.parametrize(("rule", "asked"), [("window_days", 14), ("min_live_days", 6), ("same_day", "worst")])
def test_gate_under_a_looser_mapping_than_that_of_the_reports_is_closed(
    rule: str, asked: int | str, tmp_path: Path
) -> None:
    """The mapping of the reports may not be at hand, but each observation states its policy."""
    strict = {**COMPARED, "gate": {**COMPARED["gate"], rule: asked}}
    baselines = [observation(day, provenance=Provenance.BASELINE, compared=strict) for day in WEEK[:3]]
    failed = observation(WEEK[5], Verdict.FAIL, hour=1, compared=strict)
    store(tmp_path, [*baselines, failed, *(observation(day, hour=2, compared=strict) for day in WEEK[3:])])
    write_mapping(tmp_path)
    gates = answers(tmp_path)
    assert replace(gates["trail"], ledger=gates["ledger"].ledger) == gates["ledger"]
    assert not gates["trail"].open
    assert f"observed with gate.{rule}: {asked}, " in gates["trail"].decision.reason.sentence
    write_mapping(tmp_path, **{rule: asked})
    assert not answers(tmp_path)["trail"].open
    assert "observed with gate." not in answers(tmp_path)["trail"].decision.reason.sentence


def test_gate_with_a_mapping_that_was_never_compared_is_closed(tmp_path: Path) -> None:
    store(tmp_path, [observation(day) for day in WEEK])
    write_mapping(tmp_path)
    assert all(answer.open for answer in answers(tmp_path).values())
    write_narrower_mapping(tmp_path)
    for answer in answers(tmp_path).values():
        assert not answer.open
        assert answer.decision.reason.code is ReasonCode.MAPPING_NOT_COMPARED
        assert answer.decision.earliest_open_day == TODAY + timedelta(days=7)


def test_first_day_does_not_count_under_a_mapping_that_was_edited_after_it(tmp_path: Path) -> None:
    store(tmp_path, [observation(TODAY)])
    write_mapping(tmp_path)
    for answer in answers(tmp_path).values():
        assert answer.decision.reason.code is ReasonCode.STREAK_TOO_SHORT
        assert answer.decision.earliest_open_day == TODAY + timedelta(days=6)
    write_narrower_mapping(tmp_path)
    for answer in answers(tmp_path).values():
        assert not answer.open
        assert answer.decision.reason.code is ReasonCode.MAPPING_NOT_COMPARED
        assert answer.decision.earliest_open_day == TODAY + timedelta(days=7)


@given(st.text("PFIbrsme.", max_size=14), POLICIES, st.sampled_from([None, "epoch", "other", "next"]), st.booleans())
def test_gate_and_its_forecast_have_the_same_earliest_opening_day(
    text: str, policy: GatePolicy, at_hand: str | None, trusted: bool,
) -> None:
    """The trails come from ``test_decision``."""
    days, now = days_of(text), datetime(LAST_DAY.year, LAST_DAY.month, LAST_DAY.day, 12, tzinfo=timezone.utc)
    distrust = None if trusted else Reason.word(ReasonCode.UNSOUND_TRAIL, "the trail is not sound")
    answer = current_gate(days, policy, now, mapping_digest=at_hand, distrust=distrust)
    decided = decide_gate(answer.as_of, days, policy)
    compared = any(number for provenance, number in decided.counted.items() if provenance.compared)
    other_mapping = compared and at_hand not in (None, decided.epoch)
    assert answer.open is (decided.state is GateState.OPEN and trusted and not other_mapping)
    if trusted:
        assert (answer.decision.reason.code is ReasonCode.MAPPING_NOT_COMPARED) is other_mapping
    value = answer.as_json_value()
    if answer.open:
        assert (value["earliest_open_day"], value["forecast"]) == (answer.as_of.isoformat(), None)
        return
    assert value["earliest_open_day"] == value["forecast"]["earliest_open_day"]
    assert answer.decision.earliest_open_day >= decided.earliest_open_day
    received = GateAnswer.from_json(json.dumps(value))  # knows of no mapping at hand
    assert received.forecast is not None
    assert received.forecast.earliest_open_day == answer.decision.earliest_open_day


def test_baselines_open_the_gate_under_any_mapping(tmp_path: Path) -> None:
    """A baseline compares nothing, so no mapping can be the wrong one."""
    store(tmp_path, [observation_of(day, provenance=Provenance.BASELINE) for day in WEEK])
    write_mapping(tmp_path)
    assert all(answer.open for answer in answers(tmp_path).values())


@pytest.mark.parametrize("brought_home", [None, Verdict.PASS, Verdict.FAIL])
def test_gate_over_a_trail_with_outdated_reports_is_that_of_the_evidence(
    brought_home: Verdict | None, tmp_path: Path
) -> None:
    """Each baseline report knows of no other day, and the live report of one day arrives last."""
    baselines = {day: observation_of(day, provenance=Provenance.BASELINE) for day in WEEK}
    for item in baselines.values():
        (alone := tmp_path / f"alone/{item.day}").mkdir(parents=True)
        store(alone, [item])
    context = store(tmp_path, list(baselines.values()))
    for day in WEEK:
        shutil.copy(tmp_path / f"alone/{day}/reports/{day}.md", context.output_dir)
    if brought_home:
        context.ledger.append(observation(WEEK[2], brought_home), (), (), ())
        publish(context, WEEK[2])
    write_mapping(tmp_path)
    assert verify_trail(context.output_dir).outdated.keys() >= set(WEEK[3:])
    assert {source: answer.open for source, answer in answers(tmp_path).items()} == dict.fromkeys(
        ("ledger", "trail"), brought_home is None)


@pytest.mark.parametrize("later", [Verdict.FAIL, Verdict.INCONCLUSIVE])
def test_gate_of_an_earlier_day_is_closed_by_later_evidence(later: Verdict, tmp_path: Path) -> None:
    """An ordinary trigger is ``--date $(date +%F)`` west of UTC."""
    days = [WEEK[0] - timedelta(days=1), *WEEK]
    store(tmp_path, [*(observation(day) for day in days[:-1]), observation(days[-1], later)])
    write_mapping(tmp_path)
    for answer in answers(tmp_path, day=days[-2]).values():
        assert not answer.open
        assert answer.decision.streak_days == 7
        assert answer.decision.reason.code is ReasonCode.CLOSED_NOW


def test_ledger_that_lacks_observations_of_the_reports_is_closed(tmp_path: Path) -> None:
    """A laptop's ledger has baselines, and the reports of the cluster were synced into the checkout."""
    store(tmp_path, [observation(day, provenance=Provenance.BASELINE) for day in WEEK])
    write_mapping(tmp_path)
    settings = read_settings({
        "ORGRECON_LEDGER_URL": f"sqlite:///{tmp_path / 'ledger.db'}", "ORGRECON_OUTPUT_DIR": str(tmp_path / "cluster"),
        "ORGRECON_MAPPING": str(tmp_path / "orgrecon.yaml")})
    assert answer_gate(settings, trail=None, day=None, require_live=0).open
    (tmp_path / "other").mkdir()
    cluster = store(tmp_path / "other", [observation(WEEK[5], Verdict.FAIL)])
    cluster.output_dir.rename(tmp_path / "cluster")
    answer = answer_gate(settings, trail=None, day=None, require_live=0)
    assert not answer.open
    assert answer.decision.reason.code is ReasonCode.LEDGER_LACKS_REPORTS
    assert answer.decision.reason.parameters == {"days": [WEEK[5].isoformat()]}
    assert f"run orgrecon import {tmp_path / 'cluster'}" in answer.decision.reason.sentence


def test_baselines_are_closed_by_an_older_live_report_that_the_ledger_lacks(tmp_path: Path) -> None:
    """It may show a tenant, after which no baseline counts. A run that signs does not import unsigned reports."""
    (tmp_path / "cluster").mkdir()
    cluster = store(tmp_path / "cluster", [observation(WEEK[0] - timedelta(days=20))])
    context = store(tmp_path, [observation(day, provenance=Provenance.BASELINE) for day in WEEK])
    write_mapping(tmp_path)
    assert evidence_of_context(context).answer.open
    [report] = cluster.output_dir.iterdir()
    report.rename(context.output_dir / report.name)
    for answer in answers(tmp_path, ORGRECON_OUTPUT_DIR=str(context.output_dir)).values():
        assert not answer.open


def test_gate_that_requires_today_is_closed_without_evidence_of_today(tmp_path: Path) -> None:
    store(tmp_path, [observation(day - timedelta(days=1)) for day in WEEK])
    write_mapping(tmp_path)
    settings = read_settings({"ORGRECON_LEDGER_URL": f"sqlite:///{tmp_path / 'ledger.db'}",
                              "ORGRECON_MAPPING": str(tmp_path / "orgrecon.yaml")})
    for trail in (None, tmp_path / "reports"):
        assert answer_gate(settings, trail=trail, day=None, require_live=0).open
        answer = answer_gate(settings, trail=trail, day=None, require_live=0, require_today=True)
        assert answer.decision.reason.code is ReasonCode.NO_REPORT_TODAY
        assert not answer.open


def test_every_way_of_asking_is_closed_by_reports_that_the_ledger_lacks(tmp_path: Path) -> None:
    """The ledger was restored from a backup; only the report knows the FAIL of today."""
    context = store(tmp_path, [observation(day) for day in WEEK])
    policy, digest, now = context.mapping.gate, context.mapping.digest, context.clock.now()
    assert evidence_of_context(context).answer.open
    (tmp_path / "later").mkdir()
    later = store(tmp_path / "later", [observation(WEEK[6], Verdict.FAIL, hour=9)])
    (later.output_dir / f"{WEEK[6]}.md").replace(context.output_dir / f"{WEEK[6]}.md")
    assert not evidence_of_context(context).answer.open
    assert take_snapshot(context.ledger, policy, now, digest, context.output_dir).gate_open is False
    state = current_state(context.ledger, policy, now, context.output_dir, mapping_digest=digest)
    assert state.states()[GATE_TOPIC] == "CLOSED"


def test_gate_includes_evidence_that_is_appended_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A FAIL with its report arrives after the evidence was read, and before the reports and the chain are."""
    context = store(tmp_path, [observation(day) for day in WEEK])
    late = [observation(WEEK[6], Verdict.FAIL, hour=9)]

    def files_after_a_run(directory: Path) -> list[tuple[date, Path]]:
        if late:
            context.ledger.append(late.pop(), (), (), ())
            publish(context, WEEK[6])
        return report_files(directory)

    monkeypatch.setattr(sources, "report_files", files_after_a_run)
    evidence = evidence_of_context(context)
    assert not late
    assert not evidence.answer.open
    assert evidence.chain == context.ledger.head()


def test_gate_is_not_answered_while_each_read_meets_new_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = store(tmp_path, [observation(day) for day in WEEK])
    hours = iter(range(9, 24))

    def files_after_a_run(directory: Path) -> list[tuple[date, Path]]:
        context.ledger.append(observation(WEEK[6], hour=next(hours)), (), (), ())
        return report_files(directory)

    monkeypatch.setattr(sources, "report_files", files_after_a_run)
    with pytest.raises(LedgerUnavailable, match="run the command again"):
        evidence_of_context(context)


def test_file_of_the_first_days_of_the_calendar_does_not_end_the_gate(tmp_path: Path) -> None:
    context = store(tmp_path, [])
    context.output_dir.mkdir()
    (context.output_dir / "0001-01-03.md").write_text("junk")
    assert not evidence_of_context(context).answer.open
