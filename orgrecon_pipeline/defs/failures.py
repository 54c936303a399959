"""Domain errors as failures that Dagster shows in one line, and that the command line can read back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from orgrecon_pipeline.domain.errors import OrgreconError
from orgrecon_pipeline.operations.unforeseen import unforeseen

EXIT_CODE = "exit_code"
_BUG = 3


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Turn an error into a failure; ``from None``, as a chained cause lands in the event log.

    Of an error that nobody foresaw only its class and place are told: the event log is kept, and shown to many.
    """
    try:
        yield
    except OrgreconError as error:
        raise dg.Failure(
            description=str(error), metadata={EXIT_CODE: dg.IntMetadataValue(error.exit_code)}, allow_retries=False
        ) from None
    except (dg.Failure, dg.DagsterError):
        raise
    except Exception as error:
        raise dg.Failure(
            description=f"{unforeseen(error)}: report it.", metadata={EXIT_CODE: dg.IntMetadataValue(_BUG)},
            allow_retries=False,
        ) from None
