"""Sensors that keep the gate's check up to date and send notifications.

No ``from __future__ import annotations`` here: Dagster reads resource types from the annotations.
"""

from collections.abc import Sequence

import dagster as dg

from orgrecon_pipeline.defs import gate_check
from orgrecon_pipeline.defs.jobs import GATE_JOB_NAME, JOB_NAME, PARTITION_TAG, is_running
from orgrecon_pipeline.defs.resources import CONTEXT_RESOURCES, NotifierResource, open_context
from orgrecon_pipeline.domain.errors import OrgreconError
from orgrecon_pipeline.notify.events import run_failed_event
from orgrecon_pipeline.operations.observe.due_days import Attempts, NotDue, next_attempt

_RUNNING = dg.DefaultSensorStatus.RUNNING


def gate_sensors(*, every_seconds: int) -> Sequence[dg.SensorDefinition]:
    """Return the sensors of the gate, evaluated every ``every_seconds`` seconds."""

    @dg.sensor(
        job_name=GATE_JOB_NAME, minimum_interval_seconds=every_seconds, default_status=_RUNNING,
        required_resource_keys=CONTEXT_RESOURCES,
        description="Decides the gate again if its check differs from the ledger: after a report from the command "
                    "line, an import, a run that died, or a new day.",
    )
    def gate_is_current(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        """Request a run of the gate job if the check is out of date."""
        operation = open_context(context.resources)
        answer = gate_check.gate_now(operation)
        digest = gate_check.answer_digest(answer)
        if gate_check.displayed_digest(context.instance, gate_check.GATE_KEY) == digest:
            return dg.SensorResult(skip_reason="the check agrees with the ledger", cursor=Attempts().as_cursor())
        # Do not wait for a run that was created before the latest result: it may take hours.
        planned = gate_check.decision_is_planned(context.instance, gate_check.GATE_KEY)
        if planned and is_running(context.instance, jobs=(GATE_JOB_NAME, JOB_NAME)):
            return dg.SensorResult(skip_reason="a run that decides the gate is active")
        attempt = next_attempt(
            f"{answer.as_of} {digest[:12]}", operation.clock.now(), Attempts.from_cursor(context.cursor))
        if isinstance(attempt, NotDue):
            return dg.SensorResult(skip_reason=attempt.reason)
        latest = gate_check.latest_execution_id(context.instance, gate_check.GATE_KEY)
        run_key = f"{attempt.subject}:{attempt.made}:{latest}"
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=run_key)], cursor=attempt.as_cursor())

    @dg.sensor(
        minimum_interval_seconds=every_seconds, default_status=_RUNNING,
        required_resource_keys={*CONTEXT_RESOURCES, "notifier"},
        description="Notifies every channel once when a day becomes FAIL or INCONCLUSIVE and when the gate opens or "
                    "closes, unless the command that stored the evidence has already notified it.",
    )
    def notify_of_changes(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        """Notify each channel of the changes since its last notification."""
        try:
            undelivered = context.resources.notifier.notify_changes(open_context(context.resources))
        except OrgreconError as error:  # the next evaluation tries again
            return dg.SensorResult(skip_reason=str(error))
        for line in undelivered:
            context.log.warning(line)
        return dg.SensorResult(skip_reason="; ".join(undelivered) or "every channel is up to date")

    @dg.run_failure_sensor(
        minimum_interval_seconds=every_seconds, default_status=_RUNNING,
        description="Notifies every channel when a run fails.",
    )
    def run_failed(context: dg.RunFailureSensorContext, notifier: NotifierResource) -> None:
        """Send the day of the run and the message of its first failure."""
        run = context.dagster_run
        event = run_failed_event(run.job_name, run.tags.get(PARTITION_TAG), _failure_message(context))
        for line in notifier.send(event):
            context.log.warning(line)

    return [gate_is_current, notify_of_changes, run_failed]


def _failure_message(context: dg.RunFailureSensorContext) -> str:
    for event in context.get_step_failure_events():
        failure = event.step_failure_data.user_failure_data
        if failure is not None and failure.description:
            return failure.description
    # Other error texts may contain secrets or personal data, so they stay on the page of the run.
    return "the run died or failed unexpectedly: see its page in Dagster"
