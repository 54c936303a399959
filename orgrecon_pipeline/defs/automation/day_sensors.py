"""Sensors that see to it that each day has what it can have.

No ``from __future__ import annotations`` here: Dagster finds resources by the annotations themselves.
"""

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg

from orgrecon_pipeline.defs.automation.active_runs import is_running
from orgrecon_pipeline.defs.jobs import JOB_NAME
from orgrecon_pipeline.defs.resources import (
    AuditDirectory,
    ClockResource,
    LedgerResource,
    SourceResource,
    open_context,
)
from orgrecon_pipeline.domain.days import utc_day
from orgrecon_pipeline.operations.observe.due_days import Attempts, Wait, due_again, due_today, past_days
from orgrecon_pipeline.operations.trail.stale_reports import Unrendered, unknown_reports, unrendered

_REPORT = dg.AssetKey("markdown_report")
_RUNNING = dg.DefaultSensorStatus.RUNNING


def day_sensors(
    partitions: dg.TimeWindowPartitionsDefinition, *, every_seconds: int, reobserve: timedelta | None
) -> Sequence[dg.SensorDefinition]:
    """The sensors over the given partitions.

    Args:
        partitions: the days that have a partition.
        every_seconds: how often they look.
        reobserve: how long after a FAIL or INCONCLUSIVE today is observed again; None for never.
    """

    @dg.sensor(
        job_name=JOB_NAME, minimum_interval_seconds=every_seconds, default_status=_RUNNING,
        description="Observes today when its tick was missed or its run died (until 23:30 UTC, with growing pauses), "
                    "and renders past days of which the ledger has evidence and Dagster or the directory no report.",
    )
    def owed_days(
        context: dg.SensorEvaluationContext, source: SourceResource, ledger: LedgerResource,
        audit_directory: AuditDirectory, clock: ClockResource,
    ) -> dg.SensorResult:
        """Today once more, and past days once more from their evidence."""
        work = open_context(source, ledger, audit_directory, clock, say=context.log.warning)
        now = work.clock.now()
        today = utc_day(now)
        tried = Attempts.from_cursor(context.cursor)
        owed = due_today(
            now, work.ledger.observations(today), tried=tried,
            running=is_running(context.instance, partition=today.isoformat()),
            reported=not any(unrendered(work, [today], {today})),
        )
        requests, said = [], []
        if isinstance(owed, Wait):
            said.append(owed.reason)
        else:
            tried = owed
            requests.append(dg.RunRequest(
                run_key=f"{owed.subject}:{owed.made}", partition_key=owed.subject,
                tags={"orgrecon/attempt": str(owed.made)},
            ))
        rendered = context.instance.get_materialized_partitions(_REPORT)
        for late in unrendered(work, past_days(today), {day for day in past_days(today) if str(day) in rendered}):
            if _has_partition(partitions, late) and not is_running(context.instance, partition=late.day.isoformat()):
                said.append(f"{late.day} is rendered: {late.why}")
                # A day is tried once for each state of its evidence, and again on the next day.
                requests.append(dg.RunRequest(
                    run_key=f"{late.day}:render:{late.digest[:12]}:{today}", partition_key=late.day.isoformat(),
                ))
        return _result(requests, said, tried.as_cursor())

    @dg.sensor(
        job_name=JOB_NAME, minimum_interval_seconds=every_seconds, default_status=_RUNNING,
        description="Observes today again while it is FAIL or INCONCLUSIVE, every ORGRECON_REOBSERVE_HOURS hours; "
                    "off where that is not set.",
    )
    def reobserve_today(
        context: dg.SensorEvaluationContext, ledger: LedgerResource, clock: ClockResource
    ) -> dg.SensorResult:
        """Today again, some hours later."""
        if reobserve is None:
            return _result([], ["ORGRECON_REOBSERVE_HOURS is not set: a day is observed once"])
        now = clock.open().now()
        day = utc_day(now).isoformat()
        key = due_again(now, ledger.open().observations(utc_day(now)), every=reobserve,
                        running=is_running(context.instance, partition=day))
        if isinstance(key, Wait):
            return _result([], [key.reason])
        return _result([dg.RunRequest(run_key=key, partition_key=day)], [])

    @dg.sensor(
        job_name=JOB_NAME, minimum_interval_seconds=every_seconds, default_status=_RUNNING,
        description="Takes past days over from reports that appeared in the audit directory, such as a baseline "
                    "that was committed elsewhere. Reports that are not sound are named and left out.",
    )
    def new_reports(
        context: dg.SensorEvaluationContext, ledger: LedgerResource, audit_directory: AuditDirectory,
        clock: ClockResource,
    ) -> dg.SensorResult:
        """A run for every past day that the directory knows, and the ledger does not."""
        found = unknown_reports(ledger.open(), audit_directory.path, clock.open().today())
        requests = [
            dg.RunRequest(run_key=f"{late.day}:import:{late.digest[:12]}", partition_key=late.day.isoformat())
            for late in found.sound if _has_partition(partitions, late)
        ]
        for refused in found.refused:
            context.log.warning(refused)
        return _result(requests, found.refused)

    return [owed_days, reobserve_today, new_reports]


def _has_partition(partitions: dg.TimeWindowPartitionsDefinition, late: Unrendered) -> bool:
    return late.day >= partitions.start.date()


def _result(requests: list[dg.RunRequest], said: Sequence[str], cursor: str | None = None) -> dg.SensorResult:
    if requests:
        return dg.SensorResult(run_requests=requests, cursor=cursor)
    return dg.SensorResult(skip_reason="; ".join(said) or "nothing is owed", cursor=cursor)
