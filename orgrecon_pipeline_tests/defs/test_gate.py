"""The check against the command line: over random histories, and through a real web server."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.loader import LoadingContextForTest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from orgrecon_pipeline.cli.app import main
from orgrecon_pipeline.config.mapping_file import default_mapping, load_mapping
from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.defs.jobs import JOB_NAME
from orgrecon_pipeline.domain.evidence import EntityTotals, Observation, Provenance, Verdict
from orgrecon_pipeline.ledger.open import open_ledger
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.gate.dagster_client import decide_from_response
from orgrecon_pipeline.operations.observe.observe import stamp_baseline
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline_tests.support.defs.processes import webserver
from orgrecon_pipeline_tests.support.defs.world import CHECK, QUIET, World, wrapped

FIRST = date(2026, 3, 1)


def observation(number: int, day: date, verdict: Verdict, provenance: Provenance, digest: str) -> Observation:
    entity = EntityTotals.unknown() if verdict is Verdict.INCONCLUSIVE else EntityTotals.zero()
    if verdict is Verdict.FAIL:
        entity = entity.model_copy(update={"missing": 1, "source_rows": 1})
    baseline = provenance is Provenance.BASELINE
    return Observation(
        id=f"{number:016x}", day=day, provenance=provenance, verdict=verdict, reason="because.",
        reason_code="unknown", reason_parameters={},
        observed_at=None if baseline else datetime(day.year, day.month, day.day, 12, tzinfo=timezone.utc)
        + timedelta(minutes=number), mapping_digest=digest, orgrecon_version="1", tenants_with_drift=0,
        tenants_scanned=None if verdict is Verdict.INCONCLUSIVE else 0 if baseline else 3,
        entities={"org_units": entity}, compared={},
    )


# What happens: the clock moves on, evidence of some day arrives and the gate is decided, or the deciding run dies; or
# the database is compared, by the whole job or by its first asset alone, and nobody decides the gate again.
steps = st.lists(st.one_of(
    st.tuples(st.just("tomorrow"), st.integers(1, 3)),
    st.tuples(st.just("evidence"), st.integers(0, 9),
              st.sampled_from([Verdict.PASS] * 6 + [Verdict.FAIL, Verdict.INCONCLUSIVE]),
              st.sampled_from([Provenance.SIMULATED] * 6 + [Provenance.LIVE] * 2 + [Provenance.BASELINE])),
    st.tuples(st.just("week"), st.sampled_from([Provenance.SIMULATED, Provenance.LIVE])),
    st.tuples(st.just("broken")),
    st.tuples(st.just("run"), st.booleans(), st.sampled_from(["*", "tenant_drift", "tenant_drift"])),
), min_size=1, max_size=12)


ONE_WORLD = [HealthCheck.function_scoped_fixture]
# Real comparisons are too slow to look for the shortest history that fails: the first one is told.
PHASES = [phase for phase in Phase if phase is not Phase.shrink]


@settings(max_examples=6, deadline=None, suppress_health_check=ONE_WORLD, phases=PHASES)
@given(history=steps)
def test_the_check_and_the_command_line_never_disagree(world: World, history: list[tuple[Any, ...]]) -> None:
    relive(world, history)


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=ONE_WORLD, phases=PHASES)
@given(history=steps)
def test_the_check_and_the_command_line_never_disagree_for_long(
    world: World, history: list[tuple[Any, ...]],
) -> None:
    relive(world, history)


def test_a_gate_that_is_open_is_closed_by_one_asset_alone(world: World) -> None:
    """Evidence that comes without a run of the gate must not leave a check behind that passed."""
    relive(world, [("week", Provenance.SIMULATED), ("run", False, "tenant_drift"), ("run", True, "tenant_drift"),
                   ("tomorrow", 1), ("run", False, "*"), ("broken",), ("run", True, "tenant_drift")])


def relive(world: World, history: list[tuple[Any, ...]]) -> None:
    """After every step of any history: what the check says, as read by the client, is what ``orgrecon gate`` says."""
    (world.directory / "ledger.db").unlink(missing_ok=True)
    shutil.rmtree(world.reports, ignore_errors=True)
    world.heal()
    digest = load_mapping(str(world.directory / "orgrecon.yaml"), {}).digest
    today, number = FIRST, 0
    with dg.DagsterInstance.ephemeral() as instance:
        for what, *how in history:
            ledger = open_ledger(world.environ["ORGRECON_LEDGER_URL"])
            broken = what == "broken"
            if what == "tomorrow":
                today += timedelta(days=how[0])
            elif what == "evidence":
                number += 1
                day = today - timedelta(days=how[0])
                verdict = Verdict.PASS if how[2] is Provenance.BASELINE else how[1]
                ledger.append(observation(number, day, verdict, how[2], digest), (), (), ())
            elif what == "week":
                for back in range(7):
                    number += 1
                    seen = observation(number, today - timedelta(days=back), Verdict.PASS, how[0], digest)
                    ledger.append(seen, (), (), ())
            number += 1  # each moment is later than the one before: what comes last decides
            world.at(today, 12 + number // 60, number % 60)
            if broken:
                (world.directory / "orgrecon.yaml").write_text("version: 2\n", encoding="utf-8")
            if what == "run":
                (world.drift if how[0] else world.heal)()
                assert compared(world, instance, today, how[1]).success
            else:
                assert world.decide(instance).success is not broken
            world.mapping()
            told, seen = world.gate(), check_says(instance, world)
            assert seen.open is (told.open and not broken), (told, seen)
            if not broken:
                assert seen.as_json_value() == told.as_json_value()
            # The same check, looked at days later without a new decision, opens nothing that is closed by then.
            for later in (1, 2, 3):
                world.at(today + timedelta(days=later), 12)
                assert world.gate().open or not check_says(instance, world).open


def compared(world: World, instance: dg.DagsterInstance, day: date, selected: str) -> dg.ExecuteInProcessResult:
    """A run of the day's job, or of a part of it as the UI launches it."""
    return world.definitions.resolve_job_def(JOB_NAME).execute_in_process(
        run_config=QUIET, partition_key=day.isoformat(), instance=instance, raise_on_error=False,
        asset_selection=None if selected == "*" else [dg.AssetKey(selected)],
    )


def check_says(instance: dg.DagsterInstance, world: World) -> Any:
    """The client's verdict on the instance's check, in the words that GraphQL gives it."""
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([CHECK]).get(CHECK)
    execution = None
    loading = LoadingContextForTest(instance)
    if record is not None and asyncio.run(record.targets_latest_materialization(loading)):
        evaluation = None
        if record.evaluation is not None and record.event.dagster_event.event_type_value == "ASSET_CHECK_EVALUATION":
            data = record.evaluation
            evaluation = {"success": data.passed, "severity": data.severity.value, "metadataEntries": [
                {"label": label, "jsonString": json.dumps(value.value)}
                for label, value in data.metadata.items() if isinstance(value, dg.JsonMetadataValue)
            ]}
        execution = {"status": asyncio.run(record.resolve_status(loading)).value, "evaluation": evaluation}
    now = datetime.fromisoformat((world.directory / "now").read_text())
    return decide_from_response(wrapped(execution), default_mapping().gate, now)


def cli(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def test_an_import_is_told_to_the_instance_at_once(
    bare_world: World, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where ``DAGSTER_HOME`` is set, the check follows the command that changes the evidence."""
    world, days = bare_world, [FIRST + timedelta(days=n) for n in range(7)]
    world.at(days[-1])
    work = Context.from_settings(read_settings(world.environ))
    for day in days:
        stamp_baseline(work, day)
        publish(work, day)
    (world.directory / "ledger.db").unlink()
    with dg.DagsterInstance.get() as instance:
        assert cli("import", str(world.reports)) == 0
        assert check_says(instance, world).open
        assert check_says(instance, world).as_json_value() == world.gate().as_json_value()
    # An instance that cannot be reached changes nothing about the import.
    (world.directory / "ledger.db").unlink()
    monkeypatch.setenv("DAGSTER_HOME", str(home / "nowhere"))
    capsys.readouterr()
    assert cli("import", str(world.reports)) == 0
    assert "it may say the old answer" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_asks_a_real_web_server(
    world: World, home: Path, capsys: pytest.CaptureFixture[str], connect: Callable[..., Any],
) -> None:
    """Never decided, closed, open, an old day again, a broken run, and a day too old: the command says each."""
    with dg.DagsterInstance.get() as instance, webserver(world.environ, home) as url:
        world.at(FIRST)
        assert cli("gate", "--dagster-url", url) == 1
        assert "never evaluated" in capsys.readouterr().out
        days = [FIRST + timedelta(days=n) for n in range(7)]
        for day in days:
            world.at(day)
            world.run(instance, day)
            assert cli("gate", "--dagster-url", url, "--format", "json") == (0 if day == days[-1] else 1)
            by_dagster = json.loads(capsys.readouterr().out)
            assert cli("gate", "--format", "json") == (0 if day == days[-1] else 1)
            assert json.loads(capsys.readouterr().out) == by_dagster
        assert cli("gate", "--dagster-url", url, "--require-live", "1") == 1
        assert world.run(instance, days[2]).success
        assert cli("gate", "--dagster-url", url) == 0
        # One asset alone, as somebody may launch it: what it finds closes and opens the gate at once.
        for hour, break_or_heal, code in ((9, world.drift, 1), (10, world.heal, 0)):
            world.at(days[-1], hour)
            break_or_heal()
            assert compared(world, instance, days[-1], "tenant_drift").success
            assert cli("gate", "--dagster-url", url) == code
        assert not world.run(instance, FIRST - timedelta(days=3)).success  # no evidence: the gate is not decided
        assert cli("gate", "--dagster-url", url) == 1
        assert "did not run to its end (EXECUTION_FAILED)" in capsys.readouterr().out
        assert world.decide(instance).success
        assert cli("gate", "--dagster-url", url) == 0
        world.at(days[-1] + timedelta(days=1), 23, 59)
        assert cli("gate", "--dagster-url", url) == 0
        world.at(days[-1] + timedelta(days=2))
        assert cli("gate", "--dagster-url", url) == 1
        assert cli("gate", "--dagster-url", url, "--date", "2026-03-01") == 2
    assert cli("gate", "--dagster-url", url) == 1
