"""Schedule and sensors under an injected clock, evaluated as the daemon evaluates them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import dagster as dg
import pytest

from orgrecon_pipeline.cli.app import main
from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.defs.gate_check import refresh_gate_check
from orgrecon_pipeline.defs.jobs import JOB_NAME, PARTITION_TAG
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.observe import observe, stamp_baseline
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline_tests.support.defs.world import CHECK, World
from orgrecon_pipeline_tests.support.notify.webhook import Webhook, running_webhook

DAY = date(2026, 3, 10)


class Daemon:
    """Evaluates schedule and sensors as the daemon does, and keeps the cursors of the sensors."""

    def __init__(self, world: World, instance: dg.DagsterInstance) -> None:
        self.world, self.instance = world, instance
        self.cursors: dict[str, str | None] = {}

    def evaluate(self, name: str) -> tuple[dict[str, str], str]:
        """Evaluate a sensor; return the requested partitions by run key, and the reason if there are none."""
        repository = self.world.definitions.get_repository_def()
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursors.get(name), repository_def=repository,
            resources=dict(self.world.definitions.resources or {}),
        ) as context:
            data = repository.get_sensor_def(name).evaluate_tick(context)
        self.cursors[name] = data.cursor
        return requested(data.run_requests), data.skip_message or ""

    def tick(self, day: date) -> tuple[dict[str, str], str]:
        """Evaluate the schedule's tick of a day; return the same as for a sensor."""
        repository = self.world.definitions.get_repository_def()
        moment = datetime(day.year, day.month, day.day, 8, tzinfo=timezone.utc)
        with dg.build_schedule_context(
            instance=self.instance, scheduled_execution_time=moment, repository_def=repository,
            resources=dict(self.world.definitions.resources or {}),
        ) as context:
            data = repository.get_schedule_def("every_utc_day").evaluate_tick(context)
        return requested(data.run_requests), data.skip_message or ""

    def run(self, requests: dict[str, str]) -> None:
        """Run the day job for each requested partition."""
        for partition in requests.values():
            self.world.run_day_job(self.instance, date.fromisoformat(partition))

    def start_run(self, partition: str) -> dg.DagsterRun:
        """Create a run that has started and never ends."""
        job = self.world.definitions.resolve_job_def(JOB_NAME)
        return self.instance.create_run_for_job(
            job, tags={**job.tags, PARTITION_TAG: partition}, status=dg.DagsterRunStatus.STARTED
        )


def requested(requests: Sequence[dg.RunRequest] | None) -> dict[str, str]:
    """Return the partitions of run requests by run key."""
    return {str(request.run_key): str(request.partition_key) for request in requests or ()}


@pytest.fixture
def daemon(world: World, tmp_path: Path) -> Iterator[Daemon]:
    # The context of a schedule needs an instance that can be opened again; an ephemeral one cannot.
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        yield Daemon(world, instance)


def test_schedule_requests_the_day_of_its_tick(world: World, daemon: Daemon) -> None:
    world.set_clock(DAY)
    assert daemon.tick(DAY)[0] == {"2026-03-10:schedule": "2026-03-10"}
    assert "today is 2026-03-10" in daemon.tick(DAY - timedelta(days=1))[1]
    daemon.start_run("2026-03-10")
    assert "under way" in daemon.tick(DAY)[1]


def test_missed_tick_is_made_up_for_today_but_not_for_past_days(world: World, daemon: Daemon) -> None:
    world.set_clock(DAY, 8, 5)
    assert "not due before" in daemon.evaluate("owed_days")[1]
    world.set_clock(DAY, 9)
    requests, _ = daemon.evaluate("owed_days")
    assert requests == {"2026-03-10:1": "2026-03-10"}
    world.set_clock(DAY, 9, 4)
    assert "the next one is at 2026-03-10 09:05" in daemon.evaluate("owed_days")[1]
    world.set_clock(DAY, 9, 5)
    requests, _ = daemon.evaluate("owed_days")
    assert requests == {"2026-03-10:2": "2026-03-10"}
    daemon.run(requests)
    assert daemon.evaluate("owed_days") == ({}, "2026-03-10 is already observed")
    # Four days later, the three days in between stay without evidence.
    world.set_clock(DAY + timedelta(days=4), 9)
    assert daemon.evaluate("owed_days")[0] == {"2026-03-14:1": "2026-03-14"}


def test_active_run_of_today_delays_another_request(world: World, daemon: Daemon) -> None:
    world.set_clock(DAY, 9)
    run = daemon.start_run("2026-03-10")
    assert "under way" in daemon.evaluate("owed_days")[1]
    daemon.instance.report_run_failed(run)
    assert daemon.evaluate("owed_days")[0] == {"2026-03-10:1": "2026-03-10"}


def test_run_that_died_before_its_report_is_repeated_on_the_same_day(world: World, daemon: Daemon) -> None:
    """Its evidence is stored, but there would be no report until tomorrow."""
    world.set_clock(DAY, 9)
    observe(context_of(world), DAY)
    world.set_clock(DAY, 9, 4)
    assert "its report may still be written" in daemon.evaluate("owed_days")[1]
    world.set_clock(DAY, 9, 5)
    requests, _ = daemon.evaluate("owed_days")
    assert requests == {"2026-03-10:1": "2026-03-10"}
    daemon.run(requests)
    assert daemon.evaluate("owed_days") == ({}, "2026-03-10 is already observed")
    assert (world.reports / "2026-03-10.md").exists()


def context_of(world: World) -> Context:
    return Context.from_settings(read_settings(world.environ))


def test_stored_evidence_without_an_up_to_date_report_is_rendered(world: World, daemon: Daemon) -> None:
    for offset in (0, 2):
        world.set_clock(DAY + timedelta(days=offset))
        observe(context_of(world), DAY + timedelta(days=offset))
    world.set_clock(DAY + timedelta(days=3), 1)
    requests, _ = daemon.evaluate("owed_days")
    assert sorted(requests.values()) == ["2026-03-10", "2026-03-12"]
    daemon.run(requests)
    assert sorted(path.name for path in world.reports.glob("*.md")) == ["2026-03-10.md", "2026-03-12.md"]
    assert daemon.evaluate("owed_days")[0] == {}
    (world.reports / "2026-03-12.md").unlink()
    requests, _ = daemon.evaluate("owed_days")
    assert list(requests.values()) == ["2026-03-12"]
    # While nothing changes, the run key stays the same, so that Dagster ignores the request.
    assert daemon.evaluate("owed_days")[0] == requests
    before = (world.reports / "2026-03-10.md").read_bytes()
    (world.reports / "2026-03-10.md").write_text("rewritten", encoding="utf-8")
    requests, _ = daemon.evaluate("owed_days")
    daemon.run(requests)
    assert (world.reports / "2026-03-10.md").read_bytes() == before
    assert daemon.evaluate("owed_days")[0] == {}


def test_report_with_more_evidence_than_the_ledger_is_not_overwritten(world: World, daemon: Daemon) -> None:
    world.set_clock(DAY)
    observe(context_of(world), DAY)
    daemon.run({"": "2026-03-10"})
    world.set_clock(DAY + timedelta(days=1), 1)
    assert daemon.evaluate("owed_days")[0] == {}
    report = (world.reports / "2026-03-10.md").read_bytes()
    ledger = world.ledger
    [first, *_] = ledger.observations(DAY)
    (world.directory / "ledger.db").unlink()
    world.ledger.append(first, (), (), ())
    assert daemon.evaluate("owed_days")[0] == {}
    assert (world.reports / "2026-03-10.md").read_bytes() == report


def test_new_reports_are_imported_and_unsound_ones_named(world: World, daemon: Daemon) -> None:
    for offset in range(2):
        world.set_clock(DAY + timedelta(days=offset))
        stamp_baseline(context_of(world), DAY + timedelta(days=offset))
        daemon.run({"": str(DAY + timedelta(days=offset))} if offset == 0 else {})
    publish(context_of(world), DAY + timedelta(days=1))
    (world.directory / "ledger.db").unlink()  # the reports were committed elsewhere
    (world.reports / "2026-03-01.md").write_text("hand-written", encoding="utf-8")
    world.set_clock(DAY + timedelta(days=2), 1)
    requests, _ = daemon.evaluate("new_reports")
    assert sorted(requests.values()) == ["2026-03-10", "2026-03-11"]
    daemon.run(requests)
    assert world.ledger.days() == [DAY, DAY + timedelta(days=1)]
    requests, reason = daemon.evaluate("new_reports")
    assert requests == {}
    assert "2026-03-01" in reason


def test_fail_of_today_is_observed_again_only_if_configured(world: World, daemon: Daemon) -> None:
    world.inject_drift()
    world.set_clock(DAY)
    daemon.run({"": "2026-03-10"})
    world.set_clock(DAY, 12)
    assert "no interval is set" in daemon.evaluate("reobserve_today")[1]
    world.environ["ORGRECON_REOBSERVE_HOURS"] = "3"
    del world.definitions
    world.set_clock(DAY, 10)
    assert "due again at 2026-03-10 11:00" in daemon.evaluate("reobserve_today")[1]
    world.heal_drift()
    world.set_clock(DAY, 11)
    requests, _ = daemon.evaluate("reobserve_today")
    assert requests == {"2026-03-10:again:3": "2026-03-10"}
    daemon.run(requests)
    world.set_clock(DAY, 15)
    assert "is PASS" in daemon.evaluate("reobserve_today")[1]


def test_outdated_check_requests_a_gate_run(world: World, daemon: Daemon) -> None:
    world.set_clock(DAY, 9)
    requests, _ = daemon.evaluate("gate_is_current")
    assert len(requests) == 1
    assert world.run_gate_job(daemon.instance).success
    assert daemon.evaluate("gate_is_current")[1] == "the check agrees with the ledger"
    observe(context_of(world), DAY)  # as the command line does, without Dagster
    requests, _ = daemon.evaluate("gate_is_current")
    assert len(requests) == 1
    assert "the next one is at" in daemon.evaluate("gate_is_current")[1]
    world.run_gate_job(daemon.instance)
    assert daemon.evaluate("gate_is_current")[0] == {}
    # A refused day leaves the check without an answer.
    world.run_day_job(daemon.instance, DAY - timedelta(days=3))
    assert len(daemon.evaluate("gate_is_current")[0]) == 1


def test_materialisation_without_check_requests_a_gate_run(world: World, daemon: Daemon) -> None:
    """Dagster displays a check only if it belongs to the latest materialisation."""
    world.set_clock(DAY, 9)
    assert world.run_gate_job(daemon.instance).success
    assert daemon.evaluate("gate_is_current")[1] == "the check agrees with the ledger"
    daemon.instance.report_runless_asset_event(dg.AssetMaterialization("drift_gate"))
    assert len(daemon.evaluate("gate_is_current")[0]) == 1
    assert world.run_gate_job(daemon.instance).success
    assert daemon.evaluate("gate_is_current")[1] == "the check agrees with the ledger"


def test_check_is_not_refreshed_while_a_run_will_decide_it(world: World, daemon: Daemon) -> None:
    job = world.definitions.resolve_job_def(JOB_NAME)
    world.set_clock(DAY, 9)
    run = daemon.instance.create_run_for_job(job, tags=job.tags, status=dg.DagsterRunStatus.STARTED)
    context = context_of(world)
    observe(context, DAY)
    assert not refresh_gate_check(daemon.instance, context, CHECK.asset_key)
    daemon.instance.report_run_failed(run)
    assert refresh_gate_check(daemon.instance, context, CHECK.asset_key)
    assert not refresh_gate_check(daemon.instance, context, CHECK.asset_key)
    assert daemon.evaluate("gate_is_current")[1] == "the check agrees with the ledger"


def test_long_run_does_not_delay_a_gate_run_after_a_later_decision(world: World, daemon: Daemon) -> None:
    """Otherwise Dagster would display an outdated open gate until the long run ends."""
    job = world.definitions.resolve_job_def(JOB_NAME)
    world.set_clock(DAY, 9)
    daemon.instance.create_run_for_job(job, tags=job.tags, status=dg.DagsterRunStatus.STARTED)
    daemon.run({"": "2026-03-10"})
    world.inject_drift()
    world.set_clock(DAY, 10)
    observe(context_of(world), DAY)  # as the command line does, without Dagster
    assert len(daemon.evaluate("gate_is_current")[0]) == 1


@pytest.fixture
def webhook(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    """The only notification channel."""
    with running_webhook() as server:
        world.environ["ORGRECON_NOTIFY_URLS"] = server.url()
        monkeypatch.setenv("ORGRECON_NOTIFY_URLS", server.url())
        yield server


def test_each_change_is_notified_once_by_sensor_or_command_line(world: World, daemon: Daemon, webhook: Webhook) -> None:
    """The days run in Dagster, except for the last rerun: the command line notifies by itself."""
    days = [DAY + timedelta(days=offset) for offset in range(7)]
    for day in days:
        world.set_clock(day)
        daemon.run({"": str(day)})
        daemon.evaluate("notify_of_changes")
    assert webhook.titles == ["Org Model v2.3: GATE OPEN as of 2026-03-16"]
    world.inject_drift()
    world.set_clock(days[-1], 9)
    daemon.run({"": str(days[-1])})
    for _ in range(2):
        daemon.evaluate("notify_of_changes")
    assert webhook.titles[1:] == ["Org Model v2.3: 2026-03-16 is FAIL", "Org Model v2.3: GATE CLOSED as of 2026-03-16"]
    world.set_clock(days[-1], 10)
    world.heal_drift()
    with pytest.raises(SystemExit):
        main(["report"])
    sent = len(webhook.titles)
    assert webhook.titles[3:] == ["Org Model v2.3: GATE OPEN as of 2026-03-16"]
    daemon.evaluate("notify_of_changes")
    assert len(webhook.titles) == sent


def test_failed_notification_of_an_inconclusive_day_is_sent_again_once(
    world: World, daemon: Daemon, webhook: Webhook,
) -> None:
    world.set_clock(DAY)
    daemon.evaluate("notify_of_changes")
    world.admin.execute("DROP TABLE public.team_members")
    webhook.status = 500
    assert world.run_day_job(daemon.instance, DAY).success
    assert "not delivered to channel 1 (json)" in daemon.evaluate("notify_of_changes")[1]
    webhook.status = 200
    webhook.messages.clear()
    assert daemon.evaluate("notify_of_changes")[1] == "every channel is up to date"
    assert webhook.titles == ["Org Model v2.3: 2026-03-10 is INCONCLUSIVE"]
    daemon.evaluate("notify_of_changes")
    assert len(webhook.titles) == 1


def test_failed_run_of_our_jobs_is_notified_with_its_failure_message(
    world: World, daemon: Daemon, webhook: Webhook,
) -> None:
    @dg.job(executor_def=dg.in_process_executor)
    def broken() -> None:
        dg.op(name="broken_op")(lambda: 1 / 0)()

    daemon.evaluate("run_failed")  # the first evaluation only remembers where the event log ends
    world.set_clock(DAY + timedelta(days=1))
    assert not broken.execute_in_process(instance=daemon.instance, raise_on_error=False).success
    assert not world.run_day_job(daemon.instance, DAY).success
    daemon.evaluate("run_failed")
    assert webhook.titles == ["Org Model v2.3: reconcile_day of 2026-03-10 failed"]
    assert "restore a database to that day" in webhook.messages[0]["message"]


def test_ledger_that_is_away_delays_the_sensors_but_not_the_schedule(
    world: World, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.set_clock(DAY, 9)
    daemon.evaluate("owed_days")
    cursor = daemon.cursors["owed_days"]
    monkeypatch.setenv("ORGRECON_LEDGER_URL", "postgresql://u@127.0.0.1:1/ledger")
    for sensor in ("owed_days", "new_reports", "gate_is_current"):
        assert daemon.evaluate(sensor) == ({}, (
            "cannot open the Postgres ledger: no server is listening on that host and port: start it, or correct the "
            "URL. The next evaluation tries again."))
    assert daemon.cursors["owed_days"] == cursor
    assert daemon.tick(DAY)[0] == {"2026-03-10:schedule": "2026-03-10"}, "the run waits for the ledger"
