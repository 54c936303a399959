"""Conversion of errors into Dagster failures: a one-line description, and the exit code of the command line."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps

import dagster as dg

from orgrecon_pipeline.domain.errors import LedgerUnavailable, OrgreconError
from orgrecon_pipeline.operations.day_run import unexpected

EXIT_CODE = "exit_code"


@contextmanager
def user_facing_errors() -> Iterator[None]:
    """Convert errors inside the block into failures whose description is safe to store and show.

    An unexpected error is described by its class and location only. Failures are raised ``from None``, because
    Dagster writes a chained cause to the event log.

    Raises:
        Failure: instead of an error.
        KeyboardInterrupt: on SIGINT and SIGTERM.
    """
    try:
        with _interruptible():
            yield
    except (dg.Failure, dg.DagsterError):
        raise
    except Exception as error:
        failure = error if isinstance(error, OrgreconError) else unexpected(error)
        code = dg.IntMetadataValue(failure.exit_code)
        raise dg.Failure(str(failure), {EXIT_CODE: code}, allow_retries=False) from None


def skip_without_ledger(
    evaluate: Callable[[dg.SensorEvaluationContext], dg.SensorResult]
) -> Callable[[dg.SensorEvaluationContext], dg.SensorResult | dg.SkipReason]:
    """Let a sensor skip its evaluation, and keep its cursor, while the ledger does not answer."""

    @wraps(evaluate)
    def evaluation(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            return evaluate(context)
        except LedgerUnavailable as failure:
            return dg.SkipReason(f"{failure} The next evaluation tries again.")

    return evaluation


@contextmanager
def _interruptible() -> Iterator[None]:
    # psycopg cancels a statement on the server for KeyboardInterrupt, but not for the exception that Dagster raises.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
