"""Schedule and sensors that request a run for each UTC day that needs one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg

from orgrecon_pipeline.defs.jobs import JOB_NAME, is_running
from orgrecon_pipeline.defs.resources import CONTEXT_RESOURCES, open_context
from orgrecon_pipeline.domain.days import utc_day
from orgrecon_pipeline.operations.observe import due_days
from orgrecon_pipeline.operations.observe.due_days import Attempts, NotDue
from orgrecon_pipeline.operations.trail.stale_reports import StaleReport, stale_reports, unimported_reports

_REPORT = dg.AssetKey("markdown_report")
_RUNNING = dg.DefaultSensorStatus.RUNNING


@dg.schedule(
    name="every_utc_day", job_name=JOB_NAME, cron_schedule=f"{due_days.DAILY_AT.minute} {due_days.DAILY_AT.hour} * * *",
    execution_timezone="UTC", default_status=dg.DefaultScheduleStatus.RUNNING,
    required_resource_keys={"ledger", "clock"},
    description="Compares the current UTC day at 08:00. The sensor owed_days makes up for a missed tick.",
)
def every_utc_day(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Request a run for the day of the tick."""
    tick = context.scheduled_execution_time
    day = utc_day(tick)
    due = due_days.day_of_tick(
        tick, context.resources.clock.open().now(), context.resources.ledger.open().observations(day),
        running=is_running(context.instance, partition=day.isoformat()),
    )
    if isinstance(due, NotDue):
        return dg.SkipReason(due.reason)
    return dg.RunRequest(run_key=f"{due}:schedule", partition_key=due.isoformat())


def day_sensors(
    partitions: dg.TimeWindowPartitionsDefinition, *, every_seconds: int, reobserve: timedelta | None
) -> Sequence[dg.SensorDefinition]:
    """Return the sensors that request runs of the day job, evaluated every ``every_seconds`` seconds.

    ``reobserve`` is the time after which a FAIL or INCONCLUSIVE today is compared again; None for never.
    """

    @dg.sensor(
        job_name=JOB_NAME, minimum_interval_seconds=every_seconds, default_status=_RUNNING,
        required_resource_keys=CONTEXT_RESOURCES,
        description="Compares today if the schedule's tick was missed or its run died: until 23:30 UTC, with "
                    "increasing pauses. Renders past days that have evidence in the ledger but no up-to-date report "
                    "in Dagster or in the output directory.",
    )
    def owed_days(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        """Request runs for today and for past days with stale reports."""
        operation = open_context(context.resources, warn=context.log.warning)
        now = operation.clock.now()
        today = utc_day(now)
        attempts = Attempts.from_cursor(context.cursor)
        due = due_days.due_today(
            now, operation.ledger.observations(today), tried=attempts,
            running=is_running(context.instance, partition=today.isoformat()),
            reported=not any(stale_reports(operation, [today], {today})),
        )
        requests, notes = [], []
        if isinstance(due, NotDue):
            notes.append(due.reason)
        else:
            attempts = due
            requests.append(dg.RunRequest(
                run_key=f"{due.subject}:{due.made}", partition_key=due.subject,
                tags={"orgrecon/attempt": str(due.made)},
            ))
        materialized = context.instance.get_materialized_partitions(_REPORT)
        days = due_days.past_days(today)
        for stale in stale_reports(operation, days, {day for day in days if day.isoformat() in materialized}):
            day = stale.day.isoformat()
            if _has_partition(partitions, stale) and not is_running(context.instance, partition=day):
                notes.append(f"{day} is rendered: {stale.why}")
                # One attempt for each state of the evidence, repeated on the next day.
                requests.append(dg.RunRequest(run_key=f"{day}:render:{stale.digest[:12]}:{today}", partition_key=day))
        return _result(requests, notes, attempts.as_cursor())

    @dg.sensor(
        job_name=JOB_NAME, minimum_interval_seconds=every_seconds, default_status=_RUNNING,
        required_resource_keys={"ledger", "clock"},
        description="Compares today again every ORGRECON_REOBSERVE_HOURS hours while it is FAIL or INCONCLUSIVE. "
                    "Does nothing if the variable is not set.",
    )
    def reobserve_today(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        """Request another run for today after the configured time."""
        if reobserve is None:
            return _result([], ["ORGRECON_REOBSERVE_HOURS is not set: a decided day is not compared again"])
        now = context.resources.clock.open().now()
        day = utc_day(now)
        key = due_days.reobservation_key(
            now, context.resources.ledger.open().observations(day), every=reobserve,
            running=is_running(context.instance, partition=day.isoformat()))
        if isinstance(key, NotDue):
            return _result([], [key.reason])
        return _result([dg.RunRequest(run_key=key, partition_key=day.isoformat())], [])

    @dg.sensor(
        job_name=JOB_NAME, minimum_interval_seconds=every_seconds, default_status=_RUNNING,
        required_resource_keys={"ledger", "audit_directory", "clock"},
        description="Imports past days from reports that appeared in the output directory, such as a baseline that "
                    "was committed elsewhere. Logs a warning for each unsound report and leaves it out.",
    )
    def new_reports(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        """Request a run for each past day that has a sound report but no evidence in the ledger."""
        resources = context.resources
        reports = unimported_reports(
            resources.ledger.open(), resources.audit_directory.path, resources.clock.open().today())
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
