"""What an interrupt left behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date

from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.errors import OrgreconError
from orgrecon_pipeline.ledger.open import open_existing


@contextmanager
def report_kept_evidence(settings: Settings, day: date) -> Iterator[None]:
    """Let an interrupt say so when the evidence of the day was kept before it came.

    Raises:
        KeyboardInterrupt: with these words.
    """
    before = _attempts(settings, day)
    try:
        yield
    except KeyboardInterrupt:
        if _attempts(settings, day) == before:
            raise
        raise KeyboardInterrupt(
            f"the evidence of {day} is kept, orgrecon render {day} writes its report.") from None


def _attempts(settings: Settings, day: date) -> int:
    """How many observations of the day the ledger holds; a ledger that cannot be read is the run's to refuse."""
    with suppress(OrgreconError):
        ledger = open_existing(settings.ledger_url)
        return len(ledger.observations(day)) if ledger else 0
    return 0
