"""Sensors that keep the gate's check up to date and send notifications."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from orgrecon_pipeline.defs import gate_check
from orgrecon_pipeline.defs.automation.daily import Automation
from orgrecon_pipeline.defs.dagster_internals import UnresolvedAssetJobDefinition
from orgrecon_pipeline.defs.errors import skip_without_ledger
from orgrecon_pipeline.defs.jobs import GATE_JOB_NAME, JOB_NAME, PARTITION_TAG, is_running
from orgrecon_pipeline.defs.names import ComponentNames
from orgrecon_pipeline.defs.resources import OrgreconResource, resource_of
from orgrecon_pipeline.domain.errors import OrgreconError
from orgrecon_pipeline.notify.dispatch import send_pending
from orgrecon_pipeline.notify.events import Subject, run_failed_event
from orgrecon_pipeline.operations.observe.due_days import Attempts, NotDue, next_attempt


def gate_sensors(
    names: ComponentNames, automation: Automation, jobs: Sequence[UnresolvedAssetJobDefinition | dg.JobDefinition]
) -> Sequence[dg.SensorDefinition]:
    """Return the sensors of the gate; ``jobs`` are those whose failures are notified."""

    @dg.sensor(
        **automation.of_sensor(names, "gate_is_current"), job_name=names.name(GATE_JOB_NAME),
        description="Decides the gate again if its check differs from the ledger: after a report from the command "
                    "line, an import, a run that died, or a new day.",
    )
    @skip_without_ledger
    def gate_is_current(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        """Request a run of the gate job if the check is out of date."""
        resource = resource_of(context, names)
        operation, keys = resource.open(), names.keys(context)
        gate = keys["drift_gate"]
        result = gate_check.result_now(context.instance, operation, gate)
        if gate_check.is_displayed(context.instance, gate, result):
            return dg.SensorResult(skip_reason="the check agrees with the ledger", cursor=Attempts().as_cursor())
        # Do not wait for a run that was created before the latest result: it may take hours.
        planned = gate_check.decision_is_planned(context.instance, gate)
        if planned and is_running(
                context.instance, names, keys.values(), jobs=(GATE_JOB_NAME, JOB_NAME)):
            return dg.SensorResult(skip_reason="a run that decides the gate is active")
        subject = f"{result.answer.as_of} {gate_check.answer_digest(result.answer)[:12]}"
        attempt = next_attempt(subject, operation.clock.now(), Attempts.from_cursor(context.cursor))
        if isinstance(attempt, NotDue):
            return dg.SensorResult(skip_reason=attempt.reason)
        latest = gate_check.latest_execution_id(context.instance, gate)
        run_key = f"{attempt.subject}:{attempt.made}:{latest}"
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=run_key)], cursor=attempt.as_cursor())

    @dg.sensor(
        **automation.of_sensor(names, "notify_of_changes"),
        description="Notifies every channel once when a day becomes FAIL or INCONCLUSIVE and when the gate opens or "
                    "closes, unless the command that stored the evidence has already notified it.",
    )
    def notify_of_changes(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        """Notify each channel of the changes since its last notification."""
        resource = resource_of(context, names)
        try:
            undelivered = send_pending(resource.open(), resource.notifier(), link_base=resource.report_base_url)
        except OrgreconError as error:  # the next evaluation tries again
            return dg.SensorResult(skip_reason=str(error))
        for line in undelivered:
            context.log.warning(line)
        return dg.SensorResult(skip_reason="; ".join(undelivered) or "every channel is up to date")

    def run_failed(context: dg.RunStatusSensorContext) -> None:
        """Send the day of a failed run and the message of its first failure."""
        resource = resource_of(context, names)
        run = context.dagster_run
        message = _failure_message(context.for_run_failure())
        event = run_failed_event(_subject(resource, names), run.job_name, run.tags.get(PARTITION_TAG), message)
        for line in resource.notifier().send([event]):
            context.log.warning(line)

    # The decorator for failures does not accept the key of a resource.
    failures = dg.RunStatusSensorDefinition(
        **automation.of_sensor(names, "run_failed"), run_status=dg.DagsterRunStatus.FAILURE,
        run_status_sensor_fn=run_failed, monitored_jobs=list(jobs),
        description="Notifies every channel when a run of one of the component's jobs fails.",
    )
    return [gate_is_current, notify_of_changes, failures]


def _subject(resource: OrgreconResource, names: ComponentNames) -> Subject:
    try:
        title = resource.mapping().migration.title
    except OrgreconError:  # an invalid mapping may be why the run failed
        title = names.identity.migration
    return Subject(title, names.identity)


def _failure_message(context: dg.RunFailureSensorContext) -> str:
    for event in context.get_step_failure_events():
        failure = event.step_failure_data.user_failure_data
        if failure is not None and failure.description:
            return failure.description
    # Other error texts may contain secrets or personal data, so they stay on the page of the run.
    return "the run died or failed unexpectedly: see its page in Dagster"
