"""Domain errors as failures that Dagster shows in one line, and that the command line can read back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from orgrecon_pipeline.domain.errors import OrgreconError
from orgrecon_pipeline.operations.redact import internal_error

EXIT_CODE = "exit_code"
_BUG = 3


@contextmanager
def user_facing_errors() -> Iterator[None]:
    """Turn an error into a failure; ``from None``, as a chained cause lands in the event log.

    Of an error that nobody foresaw only its class and place are told: the event log is kept, and shown to many.

    Raises:
        KeyboardInterrupt: for SIGINT and SIGTERM.
    """
    try:
        with _interruptible():
            yield
    except OrgreconError as error:
        raise dg.Failure(
            description=str(error), metadata={EXIT_CODE: dg.IntMetadataValue(error.exit_code)}, allow_retries=False
        ) from None
    except (dg.Failure, dg.DagsterError):
        raise
    except Exception as error:
        raise dg.Failure(
            description=f"{internal_error(error)}: report it.", metadata={EXIT_CODE: dg.IntMetadataValue(_BUG)},
            allow_retries=False,
        ) from None


@contextmanager
def _interruptible() -> Iterator[None]:
    # Dagster raises an error of its own, for which psycopg does not cancel the statement: it would go on on the server.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
