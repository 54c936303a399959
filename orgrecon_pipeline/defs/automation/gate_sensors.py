"""Sensors around the gate: its check says what the ledger says, and whoever has to know is told.

No ``from __future__ import annotations`` here: Dagster finds resources by the annotations themselves.
"""

from collections.abc import Sequence

import dagster as dg

from orgrecon_pipeline.defs.automation.active_runs import PARTITION_TAG, is_running
from orgrecon_pipeline.defs.gate_check import about_to_be_decided, digest, gate_now, latest_id, told_digest
from orgrecon_pipeline.defs.jobs import GATE_JOB_NAME, JOB_NAME
from orgrecon_pipeline.defs.resources import (
    AuditDirectory,
    ClockResource,
    LedgerResource,
    NotifierResource,
    SourceResource,
    open_context,
)
from orgrecon_pipeline.domain.errors import OrgreconError
from orgrecon_pipeline.notify.events import run_failed_event
from orgrecon_pipeline.operations.observe.due_days import Attempts, Wait, attempt

_RUNNING = dg.DefaultSensorStatus.RUNNING


def gate_sensors(*, every_seconds: int) -> Sequence[dg.SensorDefinition]:
    """The sensors; they look every ``every_seconds`` seconds."""

    @dg.sensor(
        job_name=GATE_JOB_NAME, minimum_interval_seconds=every_seconds, default_status=_RUNNING,
        description="Decides the gate again where its check does not say what the ledger says: after a report from "
                    "the command line, an import, a run that died, or a new day.",
    )
    def gate_is_current(
        context: dg.SensorEvaluationContext, source: SourceResource, ledger: LedgerResource,
        audit_directory: AuditDirectory, clock: ClockResource,
    ) -> dg.SensorResult:
        """A run of the gate alone, when its check is behind."""
        work = open_context(source, ledger, audit_directory, clock)
        answer = gate_now(work)
        if told_digest(context.instance) == digest(answer):
            return dg.SensorResult(skip_reason="the check says what the ledger says", cursor=Attempts().as_cursor())
        # A run that was there before the latest answer is not waited for: it may take hours.
        if about_to_be_decided(context.instance) and is_running(context.instance, jobs=(GATE_JOB_NAME, JOB_NAME)):
            return dg.SensorResult(skip_reason="a run that decides the gate is under way")
        again = attempt(f"{answer.as_of} {digest(answer)[:12]}", work.clock.now(),
                        Attempts.from_cursor(context.cursor))
        if isinstance(again, Wait):
            return dg.SensorResult(skip_reason=again.reason)
        latest = latest_id(context.instance)
        return dg.SensorResult(
            run_requests=[dg.RunRequest(run_key=f"{again.subject}:{again.made}:{latest}")], cursor=again.as_cursor()
        )

    @dg.sensor(
        minimum_interval_seconds=every_seconds, default_status=_RUNNING,
        description="Tells the notification channels, once, that a day came to be FAIL or INCONCLUSIVE, and that the "
                    "gate opened or closed; whoever made the evidence, and unless that told them already.",
    )
    def notify_of_changes(
        context: dg.SensorEvaluationContext, source: SourceResource, ledger: LedgerResource,
        audit_directory: AuditDirectory, clock: ClockResource, notifier: NotifierResource,
    ) -> dg.SensorResult:
        """The evidence as it stands, against what the ledger says that each channel was told last."""
        try:
            untold = notifier.tell(open_context(source, ledger, audit_directory, clock))
        except OrgreconError as error:  # the next tick looks again
            return dg.SensorResult(skip_reason=str(error))
        for line in untold:
            context.log.warning(line)
        return dg.SensorResult(skip_reason="; ".join(untold) or "every channel knows what there is to know")

    @dg.run_failure_sensor(
        minimum_interval_seconds=every_seconds, default_status=_RUNNING,
        description="Tells the notification channels when a run failed.",
    )
    def run_failed(context: dg.RunFailureSensorContext, notifier: NotifierResource) -> None:
        """The run's day and the first failure's sentence."""
        run = context.dagster_run
        for line in notifier.send(run_failed_event(run.job_name, run.tags.get(PARTITION_TAG), _sentence(context))):
            context.log.warning(line)

    return [gate_is_current, notify_of_changes, run_failed]


def _sentence(context: dg.RunFailureSensorContext) -> str:
    for event in context.get_step_failure_events():
        failure = event.step_failure_data.user_failure_data
        if failure is not None and failure.description:
            return failure.description
    # Anything else may hold what nobody should read in a chat: the run's page has it.
    return "the run died or failed for an unforeseen reason: see its page in Dagster"
