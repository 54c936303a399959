"""The gate's check agrees with the command line: in random histories, and through a real web server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from orgrecon_pipeline.cli.app import main
from orgrecon_pipeline.config.mapping_file import load_mapping
from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.defs.jobs import JOB_NAME
from orgrecon_pipeline.domain.evidence import EntityTotals, Observation, Provenance, Verdict
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.observe import stamp_baseline
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.defs.displayed_check import displayed_gate
from orgrecon_pipeline_tests.support.defs.processes import webserver
from orgrecon_pipeline_tests.support.defs.world import QUIET, World

FIRST = date(2026, 3, 1)


def observation(number: int, day: date, verdict: Verdict, provenance: Provenance, digest: str) -> Observation:
    entity = EntityTotals.unknown() if verdict is Verdict.INCONCLUSIVE else EntityTotals.zero()
    if verdict is Verdict.FAIL:
        entity = entity.model_copy(update={"missing": 1, "source_rows": 1})
    baseline = provenance is Provenance.BASELINE
    return Observation(
        id=f"{number:016x}", title="Org Model v2.3", ledger=None if baseline else "0123456789abcdef", day=day,
        provenance=provenance, verdict=verdict, reason="because.", reason_code="unknown", reason_parameters={},
        observed_at=None if baseline else datetime(day.year, day.month, day.day, 12, tzinfo=timezone.utc)
        + timedelta(minutes=number), mapping_digest=digest, orgrecon_version="1", tenants_with_drift=0,
        tenants_scanned=None if verdict is Verdict.INCONCLUSIVE else 0 if baseline else 3,
        entities={"org_units": entity}, compared={},
    )


# The steps of a history: days pass, evidence of a day arrives and the gate job runs, or the gate job fails; or the
# database is compared, by the whole job or by its first asset alone, and the gate job does not run.
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
# Comparisons are too slow to search for the shortest failing history.
PHASES = [phase for phase in Phase if phase is not Phase.shrink]


@pytest.mark.brief
@settings(max_examples=6, suppress_health_check=ONE_WORLD, phases=PHASES)
@given(history=steps)
def test_check_in_any_history_agrees_with_command_line(world: World, history: list[tuple[Any, ...]]) -> None:
    assert_check_follows(world, history)


@pytest.mark.slow
@settings(max_examples=12, suppress_health_check=ONE_WORLD, phases=PHASES)
@given(history=steps)
def test_check_in_any_of_more_histories_agrees_with_command_line(
    world: World, history: list[tuple[Any, ...]],
) -> None:
    assert_check_follows(world, history)


def test_open_gate_is_closed_by_drift_that_a_run_of_one_asset_finds(world: World) -> None:
    """Evidence that is stored without a run of the gate must not leave a passed check behind."""
    assert_check_follows(world, [
        ("week", Provenance.SIMULATED), ("run", False, "tenant_drift"), ("run", True, "tenant_drift"),
        ("tomorrow", 1), ("run", False, "*"), ("broken",), ("run", True, "tenant_drift")])


def assert_check_follows(world: World, history: list[tuple[Any, ...]]) -> None:
    """Assert after every step that the check, as the client reads it, equals the answer of ``orgrecon gate``."""
    (world.directory / "ledger.db").unlink(missing_ok=True)
    shutil.rmtree(world.reports, ignore_errors=True)
    world.heal_drift()
    digest = load_mapping(str(world.directory / "orgrecon.yaml"), {}).digest
    today, number = FIRST, 0
    with dg.DagsterInstance.ephemeral() as instance:
        for step, *arguments in history:
            ledger = open_ledger(world.environ["ORGRECON_LEDGER_URL"])
            broken = step == "broken"
            if step == "tomorrow":
                today += timedelta(days=arguments[0])
            elif step == "evidence":
                number += 1
                day = today - timedelta(days=arguments[0])
                verdict = Verdict.PASS if arguments[2] is Provenance.BASELINE else arguments[1]
                ledger.append(observation(number, day, verdict, arguments[2], digest), (), (), ())
            elif step == "week":
                for back in range(7):
                    number += 1
                    day = today - timedelta(days=back)
                    ledger.append(observation(number, day, Verdict.PASS, arguments[0], digest), (), (), ())
            number += 1  # each step is later than the one before, so that the last observation decides
            world.set_clock(today, 12 + number // 60, number % 60)
            if broken:
                (world.directory / "orgrecon.yaml").write_text("version: 2\n", encoding="utf-8")
            if step == "run":
                (world.inject_drift if arguments[0] else world.heal_drift)()
                assert run_assets(world, instance, today, arguments[1]).success
            else:
                assert world.run_gate_job(instance).success is not broken
            world.write_mapping()
            expected, displayed = world.ask_gate(), displayed_gate(instance, world)
            assert displayed.open is (expected.open and not broken), (expected, displayed)
            if not broken:
                assert displayed.as_json_value() == expected.as_json_value()
            # Days later, without a new decision, the check is not open if the gate is closed by then.
            for later in (1, 2, 3):
                world.set_clock(today + timedelta(days=later), 12)
                assert world.ask_gate().open or not displayed_gate(instance, world).open


def run_assets(world: World, instance: dg.DagsterInstance, day: date, selected: str) -> dg.ExecuteInProcessResult:
    """Run the whole day job (``*``), or only one of its assets as the UI can."""
    return world.definitions.resolve_job_def(JOB_NAME).execute_in_process(
        run_config=QUIET, partition_key=day.isoformat(), instance=instance, raise_on_error=False,
        asset_selection=None if selected == "*" else [dg.AssetKey(selected)],
    )


def cli(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def test_import_with_dagster_home_updates_the_check(
    bare_world: World, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, days = bare_world, [FIRST + timedelta(days=n) for n in range(7)]
    world.set_clock(days[-1])
    context = Context.from_settings(read_settings(world.environ))
    for day in days:
        stamp_baseline(context, day)
        publish(context, day)
    (world.directory / "ledger.db").unlink()
    with dg.DagsterInstance.get() as instance:
        assert cli("import", str(world.reports)) == 0
        assert displayed_gate(instance, world).open
        assert displayed_gate(instance, world).as_json_value() == world.ask_gate().as_json_value()
    # An instance that cannot be opened does not fail the import.
    (world.directory / "ledger.db").unlink()
    monkeypatch.setenv("DAGSTER_HOME", str(home / "nowhere"))
    capsys.readouterr()
    assert cli("import", str(world.reports)) == 0
    assert "it may show the previous answer" in capsys.readouterr().err


@pytest.mark.slow
def test_gate_command_through_a_real_web_server_agrees_with_the_ledger(
    world: World, home: Path, capsys: pytest.CaptureFixture[str], connect: Callable[..., Any],
) -> None:
    """Cases: never decided, closed, open, an old day again, a failed run, and evidence that is too old."""
    with dg.DagsterInstance.get() as instance, webserver(world.environ, home) as url:
        world.set_clock(FIRST)
        assert cli("gate", "--dagster-url", url) == 1
        assert "was not evaluated" in capsys.readouterr().out
        days = [FIRST + timedelta(days=n) for n in range(7)]
        for day in days:
            world.set_clock(day)
            world.run_day_job(instance, day)
            assert cli("gate", "--dagster-url", url, "--format", "json") == (0 if day == days[-1] else 1)
            from_dagster = json.loads(capsys.readouterr().out)
            assert cli("gate", "--format", "json") == (0 if day == days[-1] else 1)
            assert json.loads(capsys.readouterr().out) == from_dagster
        assert cli("gate", "--dagster-url", url, "--require-live", "1") == 1
        assert world.run_day_job(instance, days[2]).success
        assert cli("gate", "--dagster-url", url) == 0
        # A run of one asset closes and opens the gate at once.
        for hour, change, code in ((9, world.inject_drift, 1), (10, world.heal_drift, 0)):
            world.set_clock(days[-1], hour)
            change()
            assert run_assets(world, instance, days[-1], "tenant_drift").success
            assert cli("gate", "--dagster-url", url) == code
        # A day without evidence fails, so its run does not decide the gate.
        assert not world.run_day_job(instance, FIRST - timedelta(days=3)).success
        assert cli("gate", "--dagster-url", url) == 1
        assert "did not finish (EXECUTION_FAILED)" in capsys.readouterr().out
        assert world.run_gate_job(instance).success
        assert cli("gate", "--dagster-url", url) == 0
        world.set_clock(days[-1] + timedelta(days=1), 23, 59)
        assert cli("gate", "--dagster-url", url) == 0
        world.set_clock(days[-1] + timedelta(days=2))
        assert cli("gate", "--dagster-url", url) == 1
        assert cli("gate", "--dagster-url", url, "--date", "2026-03-01") == 2
    assert cli("gate", "--dagster-url", url) == 1
