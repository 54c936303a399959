"""In-process runs of the day job, as ``orgrecon report`` needs them with ``DAGSTER_HOME``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from pathlib import Path

import dagster as dg

from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.defs.build import build_definitions, default_names
from orgrecon_pipeline.defs.errors import EXIT_CODE
from orgrecon_pipeline.defs.gate_check import refresh_gate_check
from orgrecon_pipeline.defs.jobs import JOB_NAME
from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.day_run import INTERNAL_ERROR_CODE, DayRequest, DayRun, RunFailed

# By default Dagster writes every event to stderr.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

# Raised in a step, and by Dagster between steps.
_INTERRUPTS = {kind.__name__ for kind in (KeyboardInterrupt, dg.DagsterExecutionInterruptedError)}


def materialise_day(environ: Mapping[str, str], day: date, request: DayRequest) -> DayRun:
    """Materialise a day on the instance of ``DAGSTER_HOME``, as :func:`run_day` does without Dagster.

    Raises:
        OrgreconError: if the run fails; ``exit_code`` is the exit code of the command.
        KeyboardInterrupt: if the run is interrupted. The run is marked as failed.
    """
    names = default_names(environ)
    job = build_definitions(environ).resolve_job_def(names.name(JOB_NAME))
    config = {"ops": {names.op("tenant_drift"): {"config": asdict(request)}}, **_QUIET}
    with _instance() as instance:
        try:
            result = job.execute_in_process(
                run_config=config, partition_key=day.isoformat(), instance=instance, raise_on_error=False)
        except dg.DagsterExecutionInterruptedError:  # before the first step
            raise KeyboardInterrupt from None
    if not result.success:
        raise KeyboardInterrupt if _was_interrupted(result) else _failure(result)
    observed = _metadata(result, names.op("tenant_drift"))
    return DayRun(
        verdict=Verdict(observed["verdict"].value),
        reason=str(observed["reason"].value),
        path=Path(str(_metadata(result, names.op("markdown_report"))["path"].value)),
        note=str(observed["note"].value) if "note" in observed else "",
    )


def update_gate_check(environ: Mapping[str, str]) -> str:
    """Refresh the gate's check in the instance of ``DAGSTER_HOME``, if that is set.

    Call it after evidence changed outside of Dagster.

    Returns:
        A warning if that failed, else an empty string. The sensor ``gate_is_current`` makes up for a failure.
    """
    if not environ.get("DAGSTER_HOME"):
        return ""
    try:
        with dg.DagsterInstance.get() as instance:
            gate = default_names(environ).key("drift_gate")
            refresh_gate_check(instance, Context.from_settings(read_settings(environ)), gate)
    except Exception as error:  # the evidence is stored already: this must not fail the command
        return (f"the gate's check in DAGSTER_HOME was not updated ({type(error).__name__}): until the sensor "
                "gate_is_current runs, it may show the previous answer.")
    return ""


def _instance() -> dg.DagsterInstance:
    try:
        return dg.DagsterInstance.get()
    except Exception as error:  # not quoted: errors of Dagster, YAML and the storage may contain its settings
        raise ConfigurationError(
            f"the Dagster instance in DAGSTER_HOME cannot be used ({type(error).__name__}): create the directory, "
            "correct its dagster.yaml and storage, or unset DAGSTER_HOME.") from None


def _metadata(result: dg.ExecuteInProcessResult, asset: str) -> Mapping[str, dg.MetadataValue]:
    [materialization] = result.asset_materializations_for_node(asset)
    return materialization.metadata


def _was_interrupted(result: dg.ExecuteInProcessResult) -> bool:
    errors = [event.job_failure_data.error for event in result.all_events
              if event.event_type is dg.DagsterEventType.RUN_FAILURE]
    return any(error is not None and error.cls_name in _INTERRUPTS for error in errors)


def _failure(result: dg.ExecuteInProcessResult) -> RunFailed:
    for event in result.all_events:
        if event.is_step_failure:
            failure, error = event.step_failure_data.user_failure_data, event.step_failure_data.error
            if failure is not None and EXIT_CODE in failure.metadata:
                return RunFailed(failure.description or "the run failed.", int(str(failure.metadata[EXIT_CODE].value)))
            kind = (error and (error.cause or error).cls_name) or "error"
            return RunFailed(f"step {event.step_key} failed ({kind}): run the command again with --debug.",
                             INTERNAL_ERROR_CODE)
    return RunFailed("the run failed before its first step: run the command again with --debug.", INTERNAL_ERROR_CODE)
