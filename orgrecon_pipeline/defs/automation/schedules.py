"""The schedule: every UTC day at 08:00, with the day named explicitly.

No ``from __future__ import annotations`` here: Dagster finds resources by the annotations themselves.
"""

import dagster as dg

from orgrecon_pipeline.defs.automation.active_runs import is_running
from orgrecon_pipeline.defs.jobs import JOB_NAME
from orgrecon_pipeline.defs.resources import ClockResource, LedgerResource
from orgrecon_pipeline.domain.days import utc_day
from orgrecon_pipeline.operations.observe.due_days import DAILY_AT, Wait, tick_is_due


@dg.schedule(
    name="every_utc_day", job_name=JOB_NAME, cron_schedule=f"{DAILY_AT.minute} {DAILY_AT.hour} * * *",
    execution_timezone="UTC", default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Observes the UTC day at 08:00. A tick that was missed is left to the sensor owed_days.",
)
def every_utc_day(
    context: dg.ScheduleEvaluationContext, ledger: LedgerResource, clock: ClockResource
) -> dg.RunRequest | dg.SkipReason:
    """One run of the tick's own day."""
    tick, now = context.scheduled_execution_time, clock.open().now()
    day = utc_day(tick)
    owed = tick_is_due(
        tick, now, ledger.open().observations(day), running=is_running(context.instance, partition=day.isoformat())
    )
    if isinstance(owed, Wait):
        return dg.SkipReason(owed.reason)
    return dg.RunRequest(run_key=f"{owed}:schedule", partition_key=owed.isoformat())
