"""The day job on a real server: materialisations, checks, ranges of days, and refused days."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date, timedelta

import dagster as dg
import pytest

from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.defs.jobs import JOB_NAME
from orgrecon_pipeline.defs.render_job import RENDER_JOB_NAME
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.observe import stamp_baseline
from orgrecon_pipeline.report.render import render_plain
from orgrecon_pipeline_tests.support.default_identity import read_report
from orgrecon_pipeline_tests.support.defs.world import CHECK, QUIET, World, checks, failure

DAY = date(2026, 3, 10)
REPORT = dg.AssetKey("markdown_report")


def verdict(world: World, day: date) -> Verdict:
    return read_report(world.reports / f"{day}.md").verdict


def test_day_job_without_drift_passes_every_check_but_the_gate(world: World, instance: dg.DagsterInstance) -> None:
    world.set_clock(DAY)
    result = world.run_day_job(instance, DAY)
    assert result.success
    assert checks(result) == {"observation_complete": True, "zero_drift": True, "report_sound": True,
                              "seven_day_zero_delta": False}
    record = read_report(world.reports / f"{DAY}.md")
    assert (record.verdict, record.provenance.value) == (Verdict.PASS, "simulated")
    [drift] = result.asset_materializations_for_node("tenant_drift")
    assert drift.metadata["tenants_scanned"].value == 6
    assert {"missing", "unexpected", "mismatched", "duplicate", "rows_compared", "seconds"} <= set(drift.metadata)
    [report] = result.asset_materializations_for_node("markdown_report")
    assert report.metadata["report"].value == render_plain(record)


def test_day_job_with_drift_fails_the_zero_drift_check_and_still_writes_the_report(
    world: World, instance: dg.DagsterInstance,
) -> None:
    world.set_clock(DAY)
    world.inject_drift()
    result = world.run_day_job(instance, DAY)
    assert result.success
    assert checks(result) == {"observation_complete": True, "zero_drift": False, "report_sound": True,
                              "seven_day_zero_delta": False}
    assert verdict(world, DAY) is Verdict.FAIL
    [summary] = result.asset_materializations_for_node("daily_summary")
    assert (summary.metadata["missing"].value, summary.metadata["drift"].value) == (1, 1)
    [drift] = result.asset_materializations_for_node("tenant_drift")
    [worst] = drift.metadata["worst_tenants"].records  # the tenant with drift, not the first by name
    assert worst.data["missing"] == 1


def test_day_job_with_missing_table_writes_an_inconclusive_report(world: World, instance: dg.DagsterInstance) -> None:
    world.set_clock(DAY)
    world.admin.execute("DROP TABLE public.team_members")
    result = world.run_day_job(instance, DAY)
    assert result.success
    assert checks(result) == {"observation_complete": False, "zero_drift": False, "report_sound": True,
                              "seven_day_zero_delta": False}
    assert verdict(world, DAY) is Verdict.INCONCLUSIVE


def test_baseline_without_database_url_is_reported(
    world: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch,
) -> None:
    world.set_clock(DAY)
    del world.environ["DATABASE_URL"]
    monkeypatch.delenv("DATABASE_URL")
    result = world.run_day_job(instance, DAY, baseline=True)
    assert result.success
    assert read_report(world.reports / f"{DAY}.md").provenance.value == "baseline"
    refused = world.run_day_job(instance, DAY)
    assert "DATABASE_URL is not set" in failure(refused)


def test_past_day_is_rendered_to_the_same_bytes_or_refused_without_evidence(
    world: World, instance: dg.DagsterInstance,
) -> None:
    world.set_clock(DAY)
    world.run_day_job(instance, DAY)
    before = (world.reports / f"{DAY}.md").read_bytes()
    (world.reports / f"{DAY}.md").unlink()
    world.inject_drift()
    world.set_clock(DAY + timedelta(days=2))
    assert world.run_day_job(instance, DAY).success
    assert (world.reports / f"{DAY}.md").read_bytes() == before
    refused = world.run_day_job(instance, DAY + timedelta(days=1))
    assert failure(refused).startswith("2026-03-11 has no evidence and stays MISSING")
    assert not (world.reports / "2026-03-11.md").exists()
    assert "2026-03-11" not in instance.get_materialized_partitions(REPORT)
    future = world.run_day_job(instance, DAY + timedelta(days=3))
    assert "is in the future" in failure(future)


def gate_status(instance: dg.DagsterInstance) -> tuple[str, bool]:
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([CHECK])[CHECK]
    assert record.event is not None
    evaluation = record.event.dagster_event.asset_check_evaluation_data
    return record.status.value, evaluation.passed


def test_rerun_of_an_old_failed_day_leaves_the_gate_open(world: World, instance: dg.DagsterInstance) -> None:
    bad, *good = [DAY + timedelta(days=n) for n in range(8)]
    world.inject_drift()
    world.set_clock(bad)
    world.run_day_job(instance, bad)
    world.heal_drift()
    for day in good:
        world.set_clock(day)
        world.run_day_job(instance, day)
    assert gate_status(instance) == ("SUCCEEDED", True)
    assert world.ask_gate().open
    again = world.run_day_job(instance, bad)
    assert checks(again) == {"observation_complete": True, "zero_drift": False, "report_sound": True,
                             "seven_day_zero_delta": True}
    assert gate_status(instance) == ("SUCCEEDED", True)


def run_range(world: World, instance: dg.DagsterInstance, first: date, last: date) -> dg.ExecuteInProcessResult:
    """Run the job once for a range of days, as the tags of a single-run backfill do."""
    return world.definitions.resolve_job_def(JOB_NAME).execute_in_process(
        tags={"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)},
        instance=instance, raise_on_error=False,
    )


def test_range_of_days_in_one_run_has_metadata_for_each_day(
    world: World, instance: dg.DagsterInstance,
) -> None:
    days = [DAY + timedelta(days=n) for n in range(4)]
    for day in days:
        world.set_clock(day)
        world.run_day_job(instance, day)
    before = {day: (world.reports / f"{day}.md").read_bytes() for day in days}
    for day in days:
        (world.reports / f"{day}.md").unlink()
    world.set_clock(days[-1] + timedelta(days=1))
    with dg.DagsterInstance.ephemeral() as fresh:
        result = run_range(world, fresh, days[0], days[-1])
        assert result.success
        assert {day: (world.reports / f"{day}.md").read_bytes() for day in days} == before
        records = fresh.fetch_materializations(REPORT, limit=10).records
        digests = {record.partition_key: record.asset_materialization.metadata["digest"].value for record in records}
        assert digests == {str(day): read_report(world.reports / f"{day}.md").digest for day in days}
        assert len(records) == 4


def test_range_with_a_day_without_evidence_is_refused_and_materialises_nothing(
    world: World, instance: dg.DagsterInstance,
) -> None:
    for offset in (0, 2):
        world.set_clock(DAY + timedelta(days=offset))
        world.run_day_job(instance, DAY + timedelta(days=offset))
    (world.reports / f"{DAY}.md").unlink()
    with dg.DagsterInstance.ephemeral() as fresh:
        result = run_range(world, fresh, DAY, DAY + timedelta(days=2))
        assert "1 of these 3 days has no evidence" in failure(result)
        assert "2026-03-11" in failure(result)
        assert not fresh.get_materialized_partitions(REPORT)
    assert not (world.reports / f"{DAY}.md").exists()


@pytest.mark.slow
def test_render_job_over_a_year_renders_every_day_with_evidence_and_lists_the_others(
    bare_world: World, instance: dg.DagsterInstance,
) -> None:
    world, year = bare_world, [DAY + timedelta(days=n) for n in range(365)]
    world.set_clock(year[-1])
    context = Context.from_settings(read_settings(world.environ))
    for day in year:
        if day != year[100]:
            stamp_baseline(context, day)
    job = world.definitions.resolve_job_def(RENDER_JOB_NAME)

    def render(first: date, last: date) -> dg.ExecuteInProcessResult:
        config = {"ops": {"render_reports": {"config": {"first": str(first), "last": str(last)}}}, **QUIET}
        return job.execute_in_process(run_config=config, instance=instance, raise_on_error=False)

    assert render(year[0], year[99]).success
    whole_year = render(year[0], year[-1])
    assert failure(whole_year) == ("364 of 365 days were rendered; the others have no evidence and stay MISSING: "
                              f"{year[100]}.")
    assert len(list(world.reports.glob("*.md"))) == 364
    assert instance.get_materialized_partitions(REPORT) == {str(day) for day in year} - {str(year[100])}
    record = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=REPORT, asset_partitions=[str(year[300])]), limit=1
    ).records[0]
    assert record.asset_materialization is not None
    digest = read_report(world.reports / f"{year[300]}.md").digest
    assert record.asset_materialization.metadata["digest"].value == digest
    assert "is before the first day" in failure(render(year[1], year[0]))


def test_two_simultaneous_runs_of_today_make_one_observation(
    world: World, instance: dg.DagsterInstance, connect: Callable[..., object],
) -> None:
    """A table lock holds the first run in its comparison, so that the second run finds the day taken."""
    world.set_clock(DAY)
    world.write_mapping(lock_timeout_seconds=30)
    blocker = connect(world.environ["DATABASE_URL"])
    blocker.autocommit = False  # type: ignore[attr-defined]
    blocker.execute("LOCK TABLE public.team_members IN ACCESS EXCLUSIVE MODE")  # type: ignore[attr-defined]
    results: list[dg.ExecuteInProcessResult] = []
    first = threading.Thread(target=lambda: results.append(world.run_day_job(instance, DAY)))
    first.start()
    try:
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        while not world.admin.execute(waiting).fetchone()[0]:  # type: ignore[index]
            assert first.is_alive()
        with dg.DagsterInstance.ephemeral() as other:
            second = world.run_day_job(other, DAY)
        assert "another run of org-v23 is already working on 2026-03-10" in failure(second)
    finally:
        blocker.rollback()  # type: ignore[attr-defined]
        first.join()
    assert results[0].success
    assert len(world.ledger.observations(DAY)) == 1
