"""Checks around a ``report`` command: its options before the run, and the stored evidence after an interrupt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date

from orgrecon_pipeline.config.mapping_file import load_mapping
from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.errors import OrgreconError, UsageError
from orgrecon_pipeline.operations.clock import read_clock, refuse_future
from orgrecon_pipeline.operations.context import read_endpoints
from orgrecon_pipeline.operations.own_ledger import existing_ledger
from orgrecon_pipeline.operations.trail.signing import read_signing_key
from orgrecon_pipeline.report.trail_identity import require_own_reports
from orgrecon_pipeline.report.write import check_writable


def validate_report_request(settings: Settings, day: date | None, *, baseline: bool, restored: bool = False) -> date:
    """Return the day to materialise, by default today, before Dagster is imported or a database is contacted.

    Raises:
        UsageError: if ``restored`` is combined with ``baseline``, or no day is given with it, or the ledger or
            the output directory belong to another identity.
        DayRefused: if the day is in the future.
        ConfigurationError: if the mapping is invalid, the day needs a database and none is configured, the signing key
            cannot be used, or the output directory is not writable.
    """
    if restored and (baseline or day is None):
        raise UsageError("--restored needs --date, the day to which the database was restored, and excludes "
                         "--baseline: name the day, and leave out --baseline.")
    mapping = load_mapping(settings.mapping_file, settings.environ)
    today = read_clock(settings.environ).today()
    day = day or today
    refuse_future(day, today)
    if restored or (day == today and not baseline):
        read_endpoints(mapping, settings.environ)
    read_signing_key(settings.environ)
    existing_ledger(settings, mapping)
    require_own_reports(settings.output_dir, mapping.identity(settings.environment))
    check_writable(settings.output_dir)
    return day


@contextmanager
def mention_stored_evidence(settings: Settings, day: date) -> Iterator[None]:
    """Add to a ``KeyboardInterrupt`` that the evidence of ``day`` was stored, if that happened inside the block."""
    before = _observation_count(settings, day)
    try:
        yield
    except KeyboardInterrupt:
        if _observation_count(settings, day) == before:
            raise
        raise KeyboardInterrupt(
            f"the evidence of {day} is stored: run orgrecon render {day} to write its report.") from None


def _observation_count(settings: Settings, day: date) -> int:
    """Return how many observations of ``day`` the ledger has; 0 if it cannot be read, which the run itself reports."""
    with suppress(OrgreconError):
        ledger = existing_ledger(settings, load_mapping(settings.mapping_file, settings.environ))
        return len(ledger.observations(day)) if ledger else 0
    return 0
