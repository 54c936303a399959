"""Schedule and sensors that request a run for each UTC day that needs one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import dagster as dg

from orgrecon_pipeline.defs.errors import skip_without_ledger
from orgrecon_pipeline.defs.jobs import JOB_NAME, is_running
from orgrecon_pipeline.defs.names import ComponentNames
from orgrecon_pipeline.defs.resources import resource_of
from orgrecon_pipeline.domain.days import utc_day
from orgrecon_pipeline.domain.errors import LedgerUnavailable
from orgrecon_pipeline.operations.observe import due_days
from orgrecon_pipeline.operations.observe.due_days import Attempts, NotDue
from orgrecon_pipeline.operations.trail.signing import own_signers
from orgrecon_pipeline.operations.trail.stale_reports import StaleReport, stale_reports, unimported_reports


@dataclass(frozen=True)
class Automation:
    """Settings of the schedule and the sensors.

    The ``schedule`` observes today at a UTC ``hour``; without it, the sensors do not observe today either. The sensors
    are evaluated every ``every_seconds`` seconds. ``reobserve`` is the time after which a FAIL or INCONCLUSIVE today is
    compared again; None for never.
    """

    schedule: bool = True
    hour: int = 8
    sensors: bool = True
    every_seconds: int = 60
    reobserve: timedelta | None = None

    def of_sensor(self, names: ComponentNames, base: str) -> dict[str, Any]:
        """Return the arguments that all sensors of a component have in common."""
        status = dg.DefaultSensorStatus.RUNNING if self.sensors else dg.DefaultSensorStatus.STOPPED
        return {"name": names.name(base), "minimum_interval_seconds": self.every_seconds, "default_status": status,
                "required_resource_keys": {names.resource}}


def daily_schedule(names: ComponentNames, automation: Automation) -> dg.ScheduleDefinition:
    """Return the schedule that observes each UTC day."""
    running = dg.DefaultScheduleStatus.RUNNING if automation.schedule else dg.DefaultScheduleStatus.STOPPED

    @dg.schedule(
        name=names.name("every_utc_day"), job_name=names.name(JOB_NAME), cron_schedule=f"0 {automation.hour} * * *",
        execution_timezone="UTC", default_status=running, required_resource_keys={names.resource}, tags=names.tags,
        description=f"Compares the current UTC day at {automation.hour:02}:00. The sensor {names.name('owed_days')} "
                    "makes up for a missed tick.",
    )
    def every_utc_day(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Request a run for the day of the tick."""
        resource = resource_of(context, names)
        tick = context.scheduled_execution_time
        day = utc_day(tick)
        # Before the ledger is read, here and in the sensors: what a run that ended in between wrote is then read too.
        running = is_running(context.instance, names, names.keys(context).values(), partition=day.isoformat())
        try:
            observations = resource.open_ledger().observations(day)
        except LedgerUnavailable:
            observations = []  # the run waits for the ledger; a skipped tick would not come again
        due = due_days.day_of_tick(tick, resource.clock().now(), observations, running=running)
        if isinstance(due, NotDue):
            return dg.SkipReason(due.reason)
        return dg.RunRequest(run_key=f"{due}:schedule", partition_key=due.isoformat())

    return every_utc_day


def day_sensors(
    names: ComponentNames, automation: Automation, partitions: dg.TimeWindowPartitionsDefinition
) -> Sequence[dg.SensorDefinition]:
    """Return the sensors that request runs of the day job."""
    job_name = names.name(JOB_NAME)

    @dg.sensor(
        **automation.of_sensor(names, "owed_days"), job_name=job_name,
        description="Compares today if the schedule's tick was missed or its run died: until 23:30 UTC, with "
                    "increasing pauses. Renders past days that have evidence in the ledger but no up-to-date report "
                    "in Dagster or in the output directory.",
    )
    @skip_without_ledger
    def owed_days(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        """Request runs for today and for past days with stale reports."""
        resource = resource_of(context, names)
        operation, keys = resource.open(warn=context.log.warning), names.keys(context)
        now = operation.clock.now()
        today = utc_day(now)
        attempts = Attempts.from_cursor(context.cursor)
        requests, notes = [], []
        running = is_running(context.instance, names, keys.values(), partition=today.isoformat())
        reported = not any(stale_reports(operation, [today], {today}))
        due = due_days.due_today(
            now, operation.ledger.observations(today), hour=automation.hour, tried=attempts, running=running,
            reported=reported,
        ) if automation.schedule else NotDue("the schedule is off: today is not observed")
        if isinstance(due, NotDue):
            notes.append(due.reason)
        else:
            attempts = due
            requests.append(dg.RunRequest(
                run_key=f"{due.subject}:{due.made}", partition_key=due.subject,
                tags={"orgrecon/attempt": str(due.made)},
            ))
        materialized = context.instance.get_materialized_partitions(keys["markdown_report"])
        days = due_days.past_days(today)
        for stale in stale_reports(operation, days, {day for day in days if day.isoformat() in materialized}):
            day = stale.day.isoformat()
            running = is_running(context.instance, names, keys.values(), partition=day)
            if _has_partition(partitions, stale) and not running:
                notes.append(f"{day} is rendered: {stale.why}")
                # One attempt for each state of the evidence, repeated on the next day.
                requests.append(dg.RunRequest(run_key=f"{day}:render:{stale.digest[:12]}:{today}", partition_key=day))
        return _result(requests, notes, attempts.as_cursor())

    @dg.sensor(
        **automation.of_sensor(names, "reobserve_today"), job_name=job_name,
        description="Compares today again while it is FAIL or INCONCLUSIVE, at the interval that "
                    "ORGRECON_REOBSERVE_HOURS or the component's field sensors.reobserve_hours sets, if any.",
    )
    @skip_without_ledger
    def reobserve_today(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        """Request another run for today after the configured time."""
        if automation.reobserve is None:
            return _result([], ["no interval is set: a decided day is not compared again"])
        resource = resource_of(context, names)
        now = resource.clock().now()
        day = utc_day(now)
        running = is_running(context.instance, names, names.keys(context).values(), partition=day.isoformat())
        key = due_days.reobservation_key(
            now, resource.open_ledger().observations(day), every=automation.reobserve, running=running)
        if isinstance(key, NotDue):
            return _result([], [key.reason])
        return _result([dg.RunRequest(run_key=key, partition_key=day.isoformat())], [])

    @dg.sensor(
        **automation.of_sensor(names, "new_reports"), job_name=job_name,
        description="Imports past days from reports that appeared in the output directory, such as a baseline that "
                    "was committed elsewhere. Logs a warning for each unsound report and leaves it out.",
    )
    @skip_without_ledger
    def new_reports(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        """Request a run for each past day that has a sound report but no evidence in the ledger."""
        resource = resource_of(context, names)
        reports = unimported_reports(
            resource.open_ledger(), resource.output_dir, resource.clock().today(), own_signers(os.environ))
        requests = [
            dg.RunRequest(run_key=f"{new.day}:import:{new.digest[:12]}", partition_key=new.day.isoformat())
            for new in reports.sound if _has_partition(partitions, new)]
        for problem in reports.refused:
            context.log.warning(problem)
        return _result(requests, reports.refused)

    return [owed_days, reobserve_today, new_reports]


def _has_partition(partitions: dg.TimeWindowPartitionsDefinition, report: StaleReport) -> bool:
    return report.day >= partitions.start.date()


def _result(requests: list[dg.RunRequest], notes: Sequence[str], cursor: str | None = None) -> dg.SensorResult:
    if requests:
        return dg.SensorResult(run_requests=requests, cursor=cursor)
    return dg.SensorResult(skip_reason="; ".join(notes) or "every day is up to date", cursor=cursor)
