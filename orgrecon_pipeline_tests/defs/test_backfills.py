"""Backfills by API, as a client of ours would launch them: a real daemon and web server on Postgres storage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from typing import Any

import dagster as dg
import psycopg
import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.operations.gate.dagster_client import ask_dagster
from orgrecon_pipeline.report.read import read_report
from orgrecon_pipeline_tests.support.defs.host import Host, assert_never_twice_at_once, runs
from orgrecon_pipeline_tests.support.defs.processes import eventually, graphql, webserver

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

OF_A_DAY = ("tenant_drift", "daily_summary", "rolling_window", "markdown_report")
LAUNCH = """mutation($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
  }
}"""
BACKFILL = """query($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } }
}"""
FAILURES = """query($id: ID!) {
  runOrError(runId: $id) { ... on Run { status eventConnection { events {
    __typename ... on ExecutionStepFailureEvent { failureMetadata { description } }
  } } } }
}"""
PARTITIONS = """{ assetNodeOrError(assetKey: {path: ["markdown_report"]}) { ... on AssetNode {
  partitionStats { numMaterialized numFailed } } } }"""
CHECK = """{ assetNodeOrError(assetKey: {path: ["drift_gate"]}) { ... on AssetNode { assetChecksOrError {
  ... on AssetChecks { checks { executionForLatestMaterialization { runId status } } } } } } }"""


def launch(url: str, days: Sequence[date], *, as_job: bool = False) -> str:
    """Launch a backfill of those days: of the four assets, or of the job with the gate in it; its id."""
    params: dict[str, Any] = {"partitionNames": [str(day) for day in days]}
    if as_job:
        repository = {"repositoryName": "__repository__", "repositoryLocationName": "orgrecon_pipeline.definitions"}
        params["selector"] = {"repositorySelector": repository, "partitionSetName": "reconcile_day_partition_set"}
    else:
        params["assetSelection"] = [{"path": [name]} for name in OF_A_DAY]
    launched = graphql(url, LAUNCH, params=params)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    return str(launched["backfillId"])


def ended(host: Host, url: str, backfill: str) -> str:
    """The status in which a backfill ends."""
    def status() -> str | None:
        now = str(graphql(url, BACKFILL, id=backfill)["partitionBackfillOrError"]["status"])
        return None if now in ("REQUESTED", "CANCELING", "FAILING") else now

    return str(eventually(status, 240, host.log))


def test_backfills(host: Host) -> None:
    """A month ago a FAIL, a PASS, a day of which nothing is known, and a PASS, where no sensor looks any more; then the
    last seven days, all PASS; and today, which is still to come."""
    world = host.world
    today = datetime.now(timezone.utc).date()
    days = [today - timedelta(days=back) for back in (30, 29, 28, 27, 7, 6, 5, 4, 3, 2, 1)]
    failed, passed, hole, another = days[:4]
    with dg.DagsterInstance.get() as instance:
        for day in days:
            if day == failed:
                world.drift()
            elif day == passed:
                world.heal()
            world.at(day)
            assert day == hole or world.run(instance, day).success
    files = {day: world.reports / f"{day}.md" for day in days}
    before = {day: path.read_bytes() for day, path in files.items() if day != hole}
    assert read_report(files[failed]).verdict is Verdict.FAIL
    now = world.at(today, 1)  # nothing is owed before eight
    policy = default_mapping().gate
    with host.daemon(), webserver(world.environ, host.home) as url:
        assert ask_dagster(url, policy, now).open
        decided = graphql(url, CHECK)
        again = {failed, passed, another}
        for day in again:
            files[day].unlink()
        assert ended(host, url, launch(url, sorted({*again, hole}))) == "COMPLETED_FAILED"
        # What has evidence is there again, to the same bytes; what has none failed, and says why.
        assert {day: path.read_bytes() for day, path in files.items() if path.exists()} == before
        [refused] = runs(hole)
        told = graphql(url, FAILURES, id=refused.run_id)["runOrError"]
        assert told["status"] == "FAILURE"
        [why] = [event["failureMetadata"]["description"] for event in told["eventConnection"]["events"]
                 if event.get("failureMetadata")]
        assert why.startswith(f"{hole} has no evidence and stays MISSING")
        assert {run.status.value for day in again for run in runs(day)} == {"SUCCESS"}
        assert graphql(url, PARTITIONS)["assetNodeOrError"]["partitionStats"] == {
            "numMaterialized": len(days) - 1, "numFailed": 1}
        assert not world.ledger.observations(hole)
        # The gate is as it was: the same answer, decided by the same run.
        assert ask_dagster(url, policy, now).open
        assert graphql(url, CHECK) == decided
        two_backfills_and_the_day(host, url, failed, passed, today)
        assert {day: path.read_bytes() for day, path in files.items() if path.exists()} == before
        now = world.at(today, 10)
        eventually(lambda: ask_dagster(url, policy, now).open, 60, host.log)
        assert ask_dagster(url, policy, now).as_of == today


def two_backfills_and_the_day(host: Host, url: str, failed: date, passed: date, today: date) -> None:
    """All at once, over a comparison that does not get on: one observation at a time, and every run ends well."""
    world = host.world
    # Longer than any step here is waited for.
    world.mapping(lock_timeout_seconds=900, statement_timeout_seconds=900, deadline_seconds=900)
    with psycopg.connect(world.environ["DATABASE_URL"]) as blocker:
        blocker.execute("LOCK TABLE public.team_members IN ACCESS EXCLUSIVE MODE")
        world.at(today, 9)
        eventually(host.waiting, 120, host.log)  # the run that the sensor asked for
        backfills = [launch(url, [failed, today], as_job=True), launch(url, [passed, failed, today])]
        eventually(lambda: len(runs(today)) == 3, 120, host.log)
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'orgrecon'"
        assert world.admin.execute(sessions).fetchone()[0] == 1
        assert not world.ledger.observations(today)
    assert {ended(host, url, backfill) for backfill in backfills} == {"COMPLETED_SUCCESS"}
    host.quiet()
    assert [run.status.value for run in runs(today)] == ["SUCCESS"] * 3
    observations = world.ledger.observations(today)
    deciding = world.ledger.deciding(today, "latest")
    assert deciding is not None
    assert [seen.verdict for seen in observations] == [Verdict.PASS] * 3
    assert deciding.id == observations[-1].id
    assert_never_twice_at_once()
