"""Days through Dagster's job, on a real server: what is materialised, what is checked, and what is refused."""

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
from orgrecon_pipeline.report.read import read_report
from orgrecon_pipeline_tests.support.defs.world import CHECK, QUIET, World, checks, failure

DAY = date(2026, 3, 10)
REPORT = dg.AssetKey("markdown_report")


def verdict(world: World, day: date) -> Verdict:
    return read_report(world.reports / f"{day}.md").verdict


def test_a_clean_day(world: World, instance: dg.DagsterInstance) -> None:
    world.at(DAY)
    result = world.run(instance, DAY)
    assert result.success
    assert checks(result) == {"observation_complete": True, "zero_drift": True, "report_sound": True,
                              "seven_day_zero_delta": False}
    record = read_report(world.reports / f"{DAY}.md")
    assert (record.verdict, record.provenance.value) == (Verdict.PASS, "simulated")
    [drift] = result.asset_materializations_for_node("tenant_drift")
    assert drift.metadata["tenants_scanned"].value == 6
    assert {"missing", "unexpected", "mismatched", "duplicate", "rows_compared", "seconds"} <= set(drift.metadata)
    [report] = result.asset_materializations_for_node("markdown_report")
    assert report.metadata["report"].value == (world.reports / f"{DAY}.md").read_text(encoding="utf-8")


def test_a_day_that_drifts_is_failed_by_its_checks_and_reported_all_the_same(
    world: World, instance: dg.DagsterInstance,
) -> None:
    world.at(DAY)
    world.drift()
    result = world.run(instance, DAY)
    assert result.success
    assert checks(result) == {"observation_complete": True, "zero_drift": False, "report_sound": True,
                              "seven_day_zero_delta": False}
    assert verdict(world, DAY) is Verdict.FAIL
    [summary] = result.asset_materializations_for_node("daily_summary")
    assert (summary.metadata["missing"].value, summary.metadata["drift"].value) == (1, 1)
    [drift] = result.asset_materializations_for_node("tenant_drift")
    [worst] = drift.metadata["worst_tenants"].records  # not those whose names come first
    assert worst.data["missing"] == 1


def test_a_day_that_cannot_be_decided_is_reported_too(world: World, instance: dg.DagsterInstance) -> None:
    world.at(DAY)
    world.admin.execute("DROP TABLE public.team_members")
    result = world.run(instance, DAY)
    assert result.success
    assert checks(result) == {"observation_complete": False, "zero_drift": False, "report_sound": True,
                              "seven_day_zero_delta": False}
    assert verdict(world, DAY) is Verdict.INCONCLUSIVE


def test_a_baseline_needs_no_database(
    world: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch,
) -> None:
    world.at(DAY)
    del world.environ["DATABASE_URL"]
    monkeypatch.delenv("DATABASE_URL")
    result = world.run(instance, DAY, baseline=True)
    assert result.success
    assert read_report(world.reports / f"{DAY}.md").provenance.value == "baseline"
    refused = world.run(instance, DAY)
    assert "DATABASE_URL is not set" in failure(refused)


def test_a_past_day_is_rendered_again_to_the_same_bytes_or_refused(
    world: World, instance: dg.DagsterInstance,
) -> None:
    world.at(DAY)
    world.run(instance, DAY)
    before = (world.reports / f"{DAY}.md").read_bytes()
    (world.reports / f"{DAY}.md").unlink()
    world.drift()
    world.at(DAY + timedelta(days=2))
    assert world.run(instance, DAY).success
    assert (world.reports / f"{DAY}.md").read_bytes() == before
    refused = world.run(instance, DAY + timedelta(days=1))
    assert failure(refused).startswith("2026-03-11 has no evidence and stays MISSING")
    assert not (world.reports / "2026-03-11.md").exists()
    assert "2026-03-11" not in instance.get_materialized_partitions(REPORT)
    future = world.run(instance, DAY + timedelta(days=3))
    assert "is in the future" in failure(future)


def gate_status(instance: dg.DagsterInstance) -> tuple[str, bool]:
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([CHECK])[CHECK]
    assert record.event is not None
    evaluation = record.event.dagster_event.asset_check_evaluation_data
    return record.status.value, evaluation.passed


def test_an_old_day_run_again_leaves_the_gate_as_it_was(world: World, instance: dg.DagsterInstance) -> None:
    bad, *good = [DAY + timedelta(days=n) for n in range(8)]
    world.drift()
    world.at(bad)
    world.run(instance, bad)
    world.heal()
    for day in good:
        world.at(day)
        world.run(instance, day)
    assert gate_status(instance) == ("SUCCEEDED", True)
    assert world.gate().open
    again = world.run(instance, bad)
    assert checks(again) == {"observation_complete": True, "zero_drift": False, "report_sound": True,
                             "seven_day_zero_delta": True}
    assert gate_status(instance) == ("SUCCEEDED", True)


def in_range(world: World, instance: dg.DagsterInstance, first: date, last: date) -> dg.ExecuteInProcessResult:
    """The job over a range as one run, as its tags launch it."""
    return world.definitions.resolve_job_def(JOB_NAME).execute_in_process(
        tags={"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)},
        instance=instance, raise_on_error=False,
    )


def test_a_range_is_rendered_in_one_run_with_metadata_of_each_day(
    world: World, instance: dg.DagsterInstance,
) -> None:
    days = [DAY + timedelta(days=n) for n in range(4)]
    for day in days:
        world.at(day)
        world.run(instance, day)
    before = {day: (world.reports / f"{day}.md").read_bytes() for day in days}
    for day in days:
        (world.reports / f"{day}.md").unlink()
    world.at(days[-1] + timedelta(days=1))
    with dg.DagsterInstance.ephemeral() as fresh:
        result = in_range(world, fresh, days[0], days[-1])
        assert result.success
        assert {day: (world.reports / f"{day}.md").read_bytes() for day in days} == before
        made = fresh.fetch_materializations(REPORT, limit=10).records
        digests = {one.partition_key: one.asset_materialization.metadata["digest"].value for one in made}
        assert digests == {str(day): read_report(world.reports / f"{day}.md").digest for day in days}
        assert len(made) == 4


def test_a_range_with_a_hole_is_refused_before_anything_is_done(world: World, instance: dg.DagsterInstance) -> None:
    for offset in (0, 2):
        world.at(DAY + timedelta(days=offset))
        world.run(instance, DAY + timedelta(days=offset))
    (world.reports / f"{DAY}.md").unlink()
    with dg.DagsterInstance.ephemeral() as fresh:
        result = in_range(world, fresh, DAY, DAY + timedelta(days=2))
        assert "1 of these 3 days have no evidence" in failure(result)
        assert "2026-03-11" in failure(result)
        assert not fresh.get_materialized_partitions(REPORT)
    assert not (world.reports / f"{DAY}.md").exists()


@pytest.mark.slow
def test_a_year_is_rendered_in_one_run_and_a_hole_spoils_nothing(
    bare_world: World, instance: dg.DagsterInstance,
) -> None:
    world, year = bare_world, [DAY + timedelta(days=n) for n in range(365)]
    world.at(year[-1])
    work = Context.from_settings(read_settings(world.environ))
    for day in year:
        if day != year[100]:
            stamp_baseline(work, day)
    job = world.definitions.resolve_job_def(RENDER_JOB_NAME)

    def render(first: date, last: date) -> dg.ExecuteInProcessResult:
        config = {"ops": {"render_reports": {"config": {"first": str(first), "last": str(last)}}}, **QUIET}
        return job.execute_in_process(run_config=config, instance=instance, raise_on_error=False)

    assert render(year[0], year[99]).success
    whole = render(year[0], year[-1])
    assert failure(whole) == ("364 of 365 days are rendered; the others have no evidence, and stay MISSING: "
                              f"{year[100]}.")
    assert len(list(world.reports.glob("*.md"))) == 364
    assert instance.get_materialized_partitions(REPORT) == {str(day) for day in year} - {str(year[100])}
    one = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=REPORT, asset_partitions=[str(year[300])]), limit=1
    ).records[0]
    assert one.asset_materialization is not None
    assert one.asset_materialization.metadata["digest"].value == read_report(world.reports / f"{year[300]}.md").digest
    assert "write the earlier day first" in failure(render(year[1], year[0]))


def test_two_runs_of_today_at_once_make_one_observation(
    world: World, instance: dg.DagsterInstance, connect: Callable[..., object],
) -> None:
    """The first run is held inside its comparison by a lock on a table; the second says that it is not the first."""
    world.at(DAY)
    world.mapping(lock_timeout_seconds=30)
    blocker = connect(world.environ["DATABASE_URL"])
    blocker.autocommit = False  # type: ignore[attr-defined]
    blocker.execute("LOCK TABLE public.team_members IN ACCESS EXCLUSIVE MODE")  # type: ignore[attr-defined]
    results: list[dg.ExecuteInProcessResult] = []
    first = threading.Thread(target=lambda: results.append(world.run(instance, DAY)))
    first.start()
    try:
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        while not world.admin.execute(waiting).fetchone()[0]:  # type: ignore[index]
            assert first.is_alive()
        with dg.DagsterInstance.ephemeral() as other:
            second = world.run(other, DAY)
        assert "already being worked on by another run" in failure(second)
    finally:
        blocker.rollback()  # type: ignore[attr-defined]
        first.join()
    assert results[0].success
    assert len(world.ledger.observations(DAY)) == 1
