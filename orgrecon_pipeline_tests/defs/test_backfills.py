"""Backfills launched through GraphQL, with a real daemon and web server on Postgres storage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.operations.gate.dagster_client import Question, ask_dagster
from orgrecon_pipeline.operations.gate.dagster_server import DagsterServer
from orgrecon_pipeline_tests.support.default_identity import IDENTITY, read_report
from orgrecon_pipeline_tests.support.defs.host import Host
from orgrecon_pipeline_tests.support.defs.processes import eventually, graphql, webserver
from orgrecon_pipeline_tests.support.operations.concurrency import open_sessions

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DAY_ASSETS = ("tenant_drift", "daily_summary", "rolling_window", "markdown_report")
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
    """Launch a backfill of the four day assets, or of the day job with the gate; return its id."""
    params: dict[str, Any] = {"partitionNames": [str(day) for day in days]}
    if as_job:
        repository = {"repositoryName": "__repository__", "repositoryLocationName": "orgrecon_pipeline.definitions"}
        params["selector"] = {"repositorySelector": repository, "partitionSetName": "reconcile_day_partition_set"}
    else:
        params["assetSelection"] = [{"path": [name]} for name in DAY_ASSETS]
    launched = graphql(url, LAUNCH, params=params)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    return str(launched["backfillId"])


def final_status(host: Host, url: str, backfill: str) -> str:
    """Wait until a backfill ends and return its status."""
    def status() -> str | None:
        current = str(graphql(url, BACKFILL, id=backfill)["partitionBackfillOrError"]["status"])
        return None if current in ("REQUESTED", "CANCELING", "FAILING") else current

    return str(eventually(status, 240, host.log))


def test_backfill_of_past_days_renders_the_same_bytes_and_leaves_the_gate_as_it_was(host: Host) -> None:
    """A month ago, before the days that the sensors look at: FAIL, PASS, MISSING, PASS. The last seven days are PASS,
    and today is not observed yet.
    """
    world = host.world
    today = datetime.now(timezone.utc).date()
    days = [today - timedelta(days=back) for back in (30, 29, 28, 27, 7, 6, 5, 4, 3, 2, 1)]
    failed, passed, missing, another = days[:4]
    for day in days:
        if day == failed:
            world.inject_drift()
        elif day == passed:
            world.heal_drift()
        world.set_clock(day)
        assert day == missing or world.run_day_job(host.instance, day).success
    files = {day: world.reports / f"{day}.md" for day in days}
    before = {day: path.read_bytes() for day, path in files.items() if day != missing}
    assert read_report(files[failed]).verdict is Verdict.FAIL
    now = world.set_clock(today, 1)  # nothing is due before eight
    question = Question(IDENTITY, default_mapping().gate)
    with host.daemon(), webserver(world.environ, host.home) as url:
        server = DagsterServer.at(url, {})
        assert ask_dagster(server, question, now).open
        decided = graphql(url, CHECK)
        again = {failed, passed, another}
        for day in again:
            files[day].unlink()
        assert final_status(host, url, launch(url, sorted({*again, missing}))) == "COMPLETED_FAILED"
        # Days with evidence have the same report again. The day without evidence fails with the reason.
        assert {day: path.read_bytes() for day, path in files.items() if path.exists()} == before
        [refused] = host.runs(missing)
        failure = graphql(url, FAILURES, id=refused.run_id)["runOrError"]
        assert failure["status"] == "FAILURE"
        [why] = [event["failureMetadata"]["description"] for event in failure["eventConnection"]["events"]
                 if event.get("failureMetadata")]
        assert why.startswith(f"{missing} has no evidence and stays MISSING")
        assert {run.status.value for day in again for run in host.runs(day)} == {"SUCCESS"}
        assert graphql(url, PARTITIONS)["assetNodeOrError"]["partitionStats"] == {
            "numMaterialized": len(days) - 1, "numFailed": 1}
        assert not world.ledger.observations(missing)
        # The gate is unchanged: the same answer, decided by the same run.
        assert ask_dagster(server, question, now).open
        assert graphql(url, CHECK) == decided
        run_two_backfills_during_a_comparison(host, url, failed, passed, today)
        assert {day: path.read_bytes() for day, path in files.items() if path.exists()} == before
        now = world.set_clock(today, 10)
        eventually(lambda: ask_dagster(server, question, now).open, 120, host.log)
        assert ask_dagster(server, question, now).as_of == today


def run_two_backfills_during_a_comparison(host: Host, url: str, failed: date, passed: date, today: date) -> None:
    """Launch two backfills while a table lock holds today's comparison; assert one observation at a time."""
    world = host.world
    # Longer than any wait in this test.
    world.write_mapping(lock_timeout_seconds=900, statement_timeout_seconds=900, deadline_seconds=900)
    with psycopg.connect(world.environ["DATABASE_URL"]) as blocker:
        blocker.execute("LOCK TABLE public.team_members IN ACCESS EXCLUSIVE MODE")
        world.set_clock(today, 9)
        eventually(host.comparison_waits, 120, host.log)  # the run that the sensor requested
        backfills = [launch(url, [failed, today], as_job=True), launch(url, [passed, failed, today])]
        eventually(lambda: len(host.runs(today)) == 3, 120, host.log)
        # The server ends a session a moment after the run that used it.
        eventually(lambda: open_sessions(world.admin) == 1, 60, host.log)
        assert not world.ledger.observations(today)
    assert {final_status(host, url, backfill) for backfill in backfills} == {"COMPLETED_SUCCESS"}
    host.wait_until_idle()
    assert [run.status.value for run in host.runs(today)] == ["SUCCESS"] * 3
    observations = world.ledger.observations(today)
    deciding = world.ledger.deciding(today, "latest")
    assert deciding is not None
    assert [observation.verdict for observation in observations] == [Verdict.PASS] * 3
    assert deciding.id == observations[-1].id
    host.assert_no_overlapping_runs()
