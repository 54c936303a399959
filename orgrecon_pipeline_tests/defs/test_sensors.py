"""Schedule and sensors under an injected clock, each evaluated as the daemon does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from orgrecon_pipeline.defs.jobs import PARTITION_TAG

from orgrecon_pipeline.cli.app import main
from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.defs.gate_check import refresh_gate_check
from orgrecon_pipeline.defs.jobs import JOB_NAME
from orgrecon_pipeline.defs.resources import NotifierResource
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.observe import observe, stamp_baseline
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline_tests.support.defs.world import World
from orgrecon_pipeline_tests.support.notify.webhook import Webhook, listening

DAY = date(2026, 3, 10)


class Daemon:
    """Evaluates a sensor as the daemon would: with the cursor that it left."""

    def __init__(self, world: World, instance: dg.DagsterInstance) -> None:
        self.world, self.instance = world, instance
        self.cursors: dict[str, str | None] = {}

    def evaluate(self, name: str) -> tuple[dict[str, str], str]:
        """The run keys and their partitions, and why there are none."""
        repository = self.world.definitions.get_repository_def()
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursors.get(name), repository_def=repository,
            resources=dict(self.world.definitions.resources or {}),
        ) as context:
            data = repository.get_sensor_def(name).evaluate_tick(context)
        self.cursors[name] = data.cursor
        requests = {str(one.run_key): str(one.partition_key) for one in data.run_requests or ()}
        return requests, data.skip_message or ""

    def tick(self, day: date) -> tuple[dict[str, str], str]:
        """The schedule's tick of a day."""
        repository = self.world.definitions.get_repository_def()
        moment = datetime(day.year, day.month, day.day, 8, tzinfo=timezone.utc)
        with dg.build_schedule_context(
            instance=self.instance, scheduled_execution_time=moment, repository_def=repository,
            resources=dict(self.world.definitions.resources or {}),
        ) as context:
            data = repository.get_schedule_def("every_utc_day").evaluate_tick(context)
        return {str(one.run_key): str(one.partition_key) for one in data.run_requests or ()}, data.skip_message or ""

    def run(self, requests: dict[str, str]) -> None:
        """Do what was asked for."""
        for partition in requests.values():
            self.world.run(self.instance, date.fromisoformat(partition))

    def started(self, partition: str) -> dg.DagsterRun:
        """A run that is under way and never ends."""
        job = self.world.definitions.resolve_job_def(JOB_NAME)
        return self.instance.create_run_for_job(
            job, tags={PARTITION_TAG: partition}, status=dg.DagsterRunStatus.STARTED
        )


@pytest.fixture
def daemon(world: World, tmp_path: Path) -> Iterator[Daemon]:
    # A schedule's context wants an instance that it could open again, which an ephemeral one is not.
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        yield Daemon(world, instance)


def test_the_schedule_asks_for_its_own_day(world: World, daemon: Daemon) -> None:
    world.at(DAY)
    assert daemon.tick(DAY)[0] == {"2026-03-10:schedule": "2026-03-10"}
    assert "it is 2026-03-10 by now" in daemon.tick(DAY - timedelta(days=1))[1]
    daemon.started("2026-03-10")
    assert "under way" in daemon.tick(DAY)[1]


def test_a_missed_tick_is_made_up_for_today_only(world: World, daemon: Daemon) -> None:
    world.at(DAY, 8, 5)
    assert "not due before" in daemon.evaluate("owed_days")[1]
    world.at(DAY, 9)
    requests, _ = daemon.evaluate("owed_days")
    assert requests == {"2026-03-10:1": "2026-03-10"}
    world.at(DAY, 9, 4)
    assert "next attempt is at 2026-03-10 09:05" in daemon.evaluate("owed_days")[1]
    world.at(DAY, 9, 5)
    requests, _ = daemon.evaluate("owed_days")
    assert requests == {"2026-03-10:2": "2026-03-10"}
    daemon.run(requests)
    assert daemon.evaluate("owed_days") == ({}, "2026-03-10 is already observed")
    # Four days later, the three between have no evidence and get none.
    world.at(DAY + timedelta(days=4), 9)
    assert daemon.evaluate("owed_days")[0] == {"2026-03-14:1": "2026-03-14"}


def test_a_running_run_of_today_is_waited_for(world: World, daemon: Daemon) -> None:
    world.at(DAY, 9)
    run = daemon.started("2026-03-10")
    assert "under way" in daemon.evaluate("owed_days")[1]
    daemon.instance.report_run_failed(run)
    assert daemon.evaluate("owed_days")[0] == {"2026-03-10:1": "2026-03-10"}


def test_a_run_of_today_that_died_before_its_report_is_made_up_for_today(world: World, daemon: Daemon) -> None:
    """Its evidence is kept; without another run there would be no report until tomorrow."""
    world.at(DAY, 9)
    observe(settled(world), DAY)
    world.at(DAY, 9, 4)
    assert "its report may be under way" in daemon.evaluate("owed_days")[1]
    world.at(DAY, 9, 5)
    requests, _ = daemon.evaluate("owed_days")
    assert requests == {"2026-03-10:1": "2026-03-10"}
    daemon.run(requests)
    assert daemon.evaluate("owed_days") == ({}, "2026-03-10 is already observed")
    assert (world.reports / "2026-03-10.md").exists()


def settled(world: World) -> Any:
    return Context.from_settings(read_settings(world.environ))


def test_evidence_made_elsewhere_is_rendered_and_nothing_is_invented(world: World, daemon: Daemon) -> None:
    for offset in (0, 2):
        world.at(DAY + timedelta(days=offset))
        observe(settled(world), DAY + timedelta(days=offset))
    world.at(DAY + timedelta(days=3), 1)
    requests, _ = daemon.evaluate("owed_days")
    assert sorted(requests.values()) == ["2026-03-10", "2026-03-12"]
    daemon.run(requests)
    assert sorted(path.name for path in world.reports.glob("*.md")) == ["2026-03-10.md", "2026-03-12.md"]
    assert daemon.evaluate("owed_days")[0] == {}
    (world.reports / "2026-03-12.md").unlink()
    requests, _ = daemon.evaluate("owed_days")
    assert list(requests.values()) == ["2026-03-12"]
    # What was asked for once is not asked for under another key while nothing changed.
    assert daemon.evaluate("owed_days")[0] == requests
    before = (world.reports / "2026-03-10.md").read_bytes()
    (world.reports / "2026-03-10.md").write_text("rewritten", encoding="utf-8")
    requests, _ = daemon.evaluate("owed_days")
    daemon.run(requests)
    assert (world.reports / "2026-03-10.md").read_bytes() == before
    assert daemon.evaluate("owed_days")[0] == {}


def test_a_report_that_knows_more_than_the_ledger_is_not_overwritten(world: World, daemon: Daemon) -> None:
    world.at(DAY)
    observe(settled(world), DAY)
    daemon.run({"": "2026-03-10"})
    world.at(DAY + timedelta(days=1), 1)
    assert daemon.evaluate("owed_days")[0] == {}
    more = (world.reports / "2026-03-10.md").read_bytes()
    ledger = world.ledger
    only = ledger.observations(DAY)[:1]
    (world.directory / "ledger.db").unlink()
    world.ledger.append(only[0], (), (), ())
    assert daemon.evaluate("owed_days")[0] == {}
    assert (world.reports / "2026-03-10.md").read_bytes() == more


def test_new_reports_are_taken_over(world: World, daemon: Daemon) -> None:
    for offset in range(2):
        world.at(DAY + timedelta(days=offset))
        stamp_baseline(settled(world), DAY + timedelta(days=offset))
        daemon.run({"": str(DAY + timedelta(days=offset))} if offset == 0 else {})
    publish(settled(world), DAY + timedelta(days=1))
    (world.directory / "ledger.db").unlink()  # the reports were committed elsewhere
    (world.reports / "2026-03-01.md").write_text("hand-written", encoding="utf-8")
    world.at(DAY + timedelta(days=2), 1)
    requests, said = daemon.evaluate("new_reports")
    assert sorted(requests.values()) == ["2026-03-10", "2026-03-11"]
    daemon.run(requests)
    assert world.ledger.days() == [DAY, DAY + timedelta(days=1)]
    requests, said = daemon.evaluate("new_reports")
    assert requests == {}
    assert "2026-03-01" in said


def test_todays_fail_is_observed_again_only_where_that_is_wanted(world: World, daemon: Daemon) -> None:
    world.drift()
    world.at(DAY)
    daemon.run({"": "2026-03-10"})
    world.at(DAY, 12)
    assert "ORGRECON_REOBSERVE_HOURS is not set" in daemon.evaluate("reobserve_today")[1]
    world.environ["ORGRECON_REOBSERVE_HOURS"] = "3"
    del world.definitions
    world.at(DAY, 10)
    assert "due again at 2026-03-10 11:00" in daemon.evaluate("reobserve_today")[1]
    world.heal()
    world.at(DAY, 11)
    requests, _ = daemon.evaluate("reobserve_today")
    assert requests == {"2026-03-10:again:3": "2026-03-10"}
    daemon.run(requests)
    world.at(DAY, 15)
    assert "is PASS" in daemon.evaluate("reobserve_today")[1]


def test_the_gate_is_decided_again_when_its_check_is_behind(world: World, daemon: Daemon) -> None:
    world.at(DAY, 9)
    first, _ = daemon.evaluate("gate_is_current")
    assert len(first) == 1
    assert world.decide(daemon.instance).success
    assert daemon.evaluate("gate_is_current")[1] == "the check says what the ledger says"
    observe(settled(world), DAY)  # from the command line, where Dagster does not see it
    behind, _ = daemon.evaluate("gate_is_current")
    assert len(behind) == 1
    assert "next attempt" in daemon.evaluate("gate_is_current")[1]
    world.decide(daemon.instance)
    assert daemon.evaluate("gate_is_current")[0] == {}
    # A day that is refused leaves the check without an answer: it gets one again.
    world.run(daemon.instance, DAY - timedelta(days=3))
    assert len(daemon.evaluate("gate_is_current")[0]) == 1


def test_the_gate_is_decided_again_when_runs_overtook_one_another(world: World, daemon: Daemon) -> None:
    """Dagster shows a check on the latest materialisation only: of another run than that, it shows nothing."""
    world.at(DAY, 9)
    assert world.decide(daemon.instance).success
    assert daemon.evaluate("gate_is_current")[1] == "the check says what the ledger says"
    daemon.instance.report_runless_asset_event(dg.AssetMaterialization("drift_gate"))
    assert len(daemon.evaluate("gate_is_current")[0]) == 1
    assert world.decide(daemon.instance).success
    assert daemon.evaluate("gate_is_current")[1] == "the check says what the ledger says"


def test_evidence_that_comes_while_a_run_is_about_to_decide_is_left_to_it(world: World, daemon: Daemon) -> None:
    job = world.definitions.resolve_job_def(JOB_NAME)
    world.at(DAY, 9)
    run = daemon.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    work = settled(world)
    observe(work, DAY)
    assert not refresh_gate_check(daemon.instance, work)
    daemon.instance.report_run_failed(run)
    assert refresh_gate_check(daemon.instance, work)
    assert not refresh_gate_check(daemon.instance, work)
    assert daemon.evaluate("gate_is_current")[1] == "the check says what the ledger says"


def test_a_long_run_does_not_hold_up_the_gate_that_another_run_decided(world: World, daemon: Daemon) -> None:
    """Its check was planned before that of the other one: Dagster would show a gate that is open, for hours."""
    job = world.definitions.resolve_job_def(JOB_NAME)
    world.at(DAY, 9)
    daemon.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    daemon.run({"": "2026-03-10"})
    world.drift()
    world.at(DAY, 10)
    observe(settled(world), DAY)  # from the command line, where Dagster does not see it
    assert len(daemon.evaluate("gate_is_current")[0]) == 1


@pytest.fixture
def webhook(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    """The one channel of the world."""
    with listening() as server:
        world.environ["ORGRECON_NOTIFY_URLS"] = server.url()
        monkeypatch.setenv("ORGRECON_NOTIFY_URLS", server.url())
        yield server


def test_changes_are_told_once_whoever_made_them(world: World, daemon: Daemon, webhook: Webhook) -> None:
    """Days that only Dagster ran, and days of the command line, which tells by itself."""
    days = [DAY + timedelta(days=offset) for offset in range(7)]
    for day in days:
        world.at(day)
        daemon.run({"": str(day)})
        daemon.evaluate("notify_of_changes")
    assert webhook.titles == ["Org Model v2.3: GATE OPEN as of 2026-03-16"]
    world.drift()
    world.at(days[-1], 9)
    daemon.run({"": str(days[-1])})
    for _ in range(2):
        daemon.evaluate("notify_of_changes")
    assert webhook.titles[1:] == ["Org Model v2.3: 2026-03-16 is FAIL", "Org Model v2.3: GATE CLOSED as of 2026-03-16"]
    world.at(days[-1], 10)
    world.heal()
    with pytest.raises(SystemExit):
        main(["report"])
    told = len(webhook.titles)
    assert webhook.titles[3:] == ["Org Model v2.3: GATE OPEN as of 2026-03-16"]
    daemon.evaluate("notify_of_changes")
    assert len(webhook.titles) == told


def test_a_day_that_dagster_could_not_decide_is_told_and_owed_until_it_is_heard(
    world: World, daemon: Daemon, webhook: Webhook,
) -> None:
    world.at(DAY)
    daemon.evaluate("notify_of_changes")
    world.admin.execute("DROP TABLE public.team_members")
    webhook.status = 500
    assert world.run(daemon.instance, DAY).success
    assert "not delivered to channel 1 (json)" in daemon.evaluate("notify_of_changes")[1]
    webhook.status = 200
    webhook.got.clear()
    assert daemon.evaluate("notify_of_changes")[1] == "every channel knows what there is to know"
    assert webhook.titles == ["Org Model v2.3: 2026-03-10 is INCONCLUSIVE"]
    daemon.evaluate("notify_of_changes")
    assert len(webhook.titles) == 1


def test_a_failed_run_is_told_in_its_own_sentence(
    world: World, daemon: Daemon, monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    monkeypatch.setattr(NotifierResource, "send", lambda self, event: told.append(f"{event.title}: {event.text}") or [])
    world.at(DAY + timedelta(days=1))
    result = world.run(daemon.instance, DAY)
    run = daemon.instance.get_run_by_id(result.run_id)
    assert run is not None
    failed = next(event for event in result.all_events if event.event_type_value == "PIPELINE_FAILURE")
    context = dg.build_run_status_sensor_context(
        "run_failed", failed, daemon.instance, run, resources=dict(world.definitions.resources or {})
    ).for_run_failure()
    world.definitions.get_repository_def().get_sensor_def("run_failed")(context)
    assert told == ["Org Model v2.3: reconcile_day of 2026-03-10 failed: 2026-03-10 has no evidence, and today's live "
                    "database cannot say anything about it: it stays MISSING (restore a database to that day for "
                    "--restored, or import its report)."]
