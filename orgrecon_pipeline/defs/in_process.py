"""Running the job of a day in this process: what ``orgrecon report`` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg

from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.defs.build import build_definitions
from orgrecon_pipeline.defs.errors import EXIT_CODE
from orgrecon_pipeline.defs.gate_check import tell_check
from orgrecon_pipeline.defs.jobs import JOB_NAME
from orgrecon_pipeline.defs.partitions import START_VARIABLE, start_date
from orgrecon_pipeline.domain.errors import ConfigurationError, DayRefused, OrgreconError
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.operations.open_context import open_work

# Dagster would write every event to stderr; what a person needs is told by the command itself.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

# In a step of ours, and in what Dagster does around it.
_INTERRUPTS = {kind.__name__ for kind in (KeyboardInterrupt, dg.DagsterExecutionInterruptedError)}


@dataclass(frozen=True)
class DayRun:
    """A day that was materialised: the verdict of the observation that this run secured, the report, and a note."""

    verdict: Verdict
    reason: str
    path: Path
    note: str


class RunFailed(OrgreconError):
    """The run failed for a reason that is told in one line, with the exit code that belongs to it."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]


def run_day(
    environ: Mapping[str, str], day: date, *, baseline: bool = False, exact: bool = False, restored: bool = False
) -> DayRun:
    """Materialise a day: on the instance of ``DAGSTER_HOME`` where that is set, else on an ephemeral one.

    Raises:
        OrgreconError: with the exit code of whatever went wrong.
        KeyboardInterrupt: when it was interrupted; a run in ``DAGSTER_HOME`` is marked as failed.
    """
    first = start_date(environ)
    if day < first:
        raise DayRefused(f"{day} is before the first day, {first}: set {START_VARIABLE} to an earlier one.")
    job = build_definitions(environ).resolve_job_def(JOB_NAME)
    how = {"baseline": baseline, "exact": exact, "restored": restored}
    config = {"ops": {"tenant_drift": {"config": how}}, **_QUIET}
    with _instance(environ) as instance:
        try:
            result = job.execute_in_process(
                run_config=config, partition_key=day.isoformat(), instance=instance, raise_on_error=False
            )
        except dg.DagsterExecutionInterruptedError:  # before the first step
            raise KeyboardInterrupt from None
    if not result.success:
        raise KeyboardInterrupt if _interrupted(result) else _failure(result)
    secured = _metadata(result, "tenant_drift")
    return DayRun(
        verdict=Verdict(secured["verdict"].value),
        reason=str(secured["reason"].value),
        path=Path(str(_metadata(result, "markdown_report")["path"].value)),
        note=str(secured["note"].value) if "note" in secured else "",
    )


def tell_gate(environ: Mapping[str, str]) -> str:
    """Let the gate's check in the instance of ``DAGSTER_HOME`` say what the ledger says, after evidence that came
    without a run; one line when that failed, which the sensor ``gate_is_current`` makes up for."""
    if not environ.get("DAGSTER_HOME"):
        return ""
    try:
        with dg.DagsterInstance.get() as instance:
            tell_check(instance, open_work(read_settings(environ)))
    except Exception as error:  # the evidence is kept, whatever becomes of its signal
        return f"the gate's check in DAGSTER_HOME was not told ({type(error).__name__}): it may say the old answer."
    return ""


def _instance(environ: Mapping[str, str]) -> dg.DagsterInstance:
    if not environ.get("DAGSTER_HOME"):
        return dg.DagsterInstance.ephemeral()
    try:
        return dg.DagsterInstance.get()
    except Exception as error:  # of Dagster, of its YAML, of its storage: their words may quote its settings
        raise ConfigurationError(
            f"DAGSTER_HOME names no Dagster instance that can be used ({type(error).__name__}): make the directory, "
            "correct its dagster.yaml and storage, or unset it."
        ) from None


def _metadata(result: dg.ExecuteInProcessResult, asset: str) -> Mapping[str, dg.MetadataValue]:
    [materialization] = result.asset_materializations_for_node(asset)
    return materialization.metadata


def _interrupted(result: dg.ExecuteInProcessResult) -> bool:
    failures = [event.job_failure_data for event in result.all_events
                if event.event_type is dg.DagsterEventType.RUN_FAILURE]
    return any(failure.error is not None and failure.error.cls_name in _INTERRUPTS for failure in failures)


def _failure(result: dg.ExecuteInProcessResult) -> RunFailed:
    for event in result.all_events:
        if event.is_step_failure:
            failure = event.step_failure_data.user_failure_data
            if failure is not None and EXIT_CODE in failure.metadata:
                return RunFailed(failure.description or "the run failed.", int(str(failure.metadata[EXIT_CODE].value)))
            error = event.step_failure_data.error
            kind = (error.cause.cls_name if error and error.cause else error.cls_name if error else None) or "error"
            return RunFailed(f"the step {event.step_key} failed ({kind}): run it again with --debug.", 3)
    return RunFailed("the run failed before its first step: run it again with --debug.", 3)
