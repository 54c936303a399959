"""Domain errors as failures that Dagster shows in one line, and that the command line can read back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from orgrecon_pipeline.domain.errors import OrgreconError

EXIT_CODE = "exit_code"


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Turn an :class:`OrgreconError` into a failure; ``from None``, as a chained cause lands in the event log."""
    try:
        yield
    except OrgreconError as error:
        raise dg.Failure(
            description=str(error), metadata={EXIT_CODE: dg.IntMetadataValue(error.exit_code)}, allow_retries=False
        ) from None
