"""The run of a day: obtain its evidence, then publish its report. The assets of a day call the same functions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from orgrecon_pipeline.domain.errors import OrgreconError
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.observe import ObserveResult, observe, stamp_baseline
from orgrecon_pipeline.operations.redact import internal_error
from orgrecon_pipeline.operations.trail.importer import import_trail
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline.operations.trail.signing import own_signers

if TYPE_CHECKING:
    from orgrecon_pipeline.operations.observe.shard_runner import Progress

#: Exit code of an unexpected error.
INTERNAL_ERROR_CODE = 3


@dataclass(frozen=True)
class DayRequest:
    """How the evidence of a day is obtained: stamped as a baseline, compared by key, or from a restored database."""

    baseline: bool = False
    exact: bool = False
    restored: bool = False


@dataclass(frozen=True)
class DayRun:
    """Result of a run: verdict and reason of the observation, path of the report, and why nothing was compared."""

    verdict: Verdict
    reason: str
    path: Path
    note: str


class RunFailed(OrgreconError):
    """A failed run, with its one-line message and exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]


def run_day(context: Context, day: date, request: DayRequest, progress: Progress) -> DayRun:
    """Obtain the evidence of a day and publish its report; ``progress`` receives progress lines.

    Raises:
        OrgreconError: if the run fails; ``exit_code`` is the exit code of the command.
    """
    try:
        import_unknown_reports(context, progress)
        observed = obtain_evidence(context, day, request, progress)
        published = publish(context, day)
    except OrgreconError:
        raise
    except Exception as error:
        raise unexpected(error) from error
    observation = observed.observation
    return DayRun(observation.verdict, observation.reason, published.path, observed.note)


def import_unknown_reports(context: Context, progress: Progress) -> bool:
    """Import the reports of days that the ledger does not have, and return whether there were any."""
    imported = import_trail(
        context.ledger, context.output_dir, only_unknown=True, clock=context.clock,
        signed_by=own_signers(context.environ))
    for problem in imported.refused:
        progress(f"not imported: {problem}")
    return bool(imported.days)


def obtain_evidence(context: Context, day: date, request: DayRequest, progress: Progress) -> ObserveResult:
    """Return the evidence of a day: stamped, compared or reused. For the errors see :func:`observe`."""
    if request.baseline:
        observed = stamp_baseline(context, day)
    else:
        observed = observe(context, day, exact=request.exact, restored=request.restored, progress=progress)
    if observed.note:
        progress(observed.note)
    return observed


def unexpected(error: Exception) -> RunFailed:
    """Return the failure that an unexpected error means, without its message, which may quote a row or a password."""
    return RunFailed(f"{internal_error(error)}: please report this bug.", INTERNAL_ERROR_CODE)
