"""Checks around a ``report`` command: its options before the run, and what to say of the evidence after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date

from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.days import parse_day
from orgrecon_pipeline.domain.errors import DayRefused, OrgreconError, UsageError
from orgrecon_pipeline.domain.evidence import Outcome
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.operations.clock import read_clock, refuse_future
from orgrecon_pipeline.operations.context import read_endpoints
from orgrecon_pipeline.operations.own_ledger import existing_ledger
from orgrecon_pipeline.operations.trail.signing import read_signing_key
from orgrecon_pipeline.postgres.errors import UNDEFINED_COLUMN, UNDEFINED_TABLE
from orgrecon_pipeline.report.trail_identity import require_own_reports
from orgrecon_pipeline.report.write import check_writable

START_VARIABLE = "ORGRECON_START_DATE"

#: The first day that can be observed by default.
DEFAULT_START = date(2024, 1, 1)


def start_date(environ: Mapping[str, str]) -> date:
    """Return the first day that can be observed; raise UsageError if ``ORGRECON_START_DATE`` is not a day."""
    text = environ.get(START_VARIABLE)
    try:
        return parse_day(text) if text else DEFAULT_START
    except UsageError as error:
        raise UsageError(f"{START_VARIABLE}: {error}") from None


def validate_report_request(settings: Settings, day: date | None, *, baseline: bool, restored: bool = False) -> date:
    """Return the day to materialise, by default today, before a database is contacted.

    Raises:
        UsageError: if ``restored`` is combined with ``baseline``, or no day is given with it, or the ledger or
            the output directory belong to another identity.
        DayRefused: if the day is in the future, or before the first day.
        ConfigurationError: if the mapping is invalid, the day needs a database and none is configured, the signing key
            cannot be used, or the output directory is not writable.
    """
    if restored and (baseline or day is None):
        raise UsageError("--restored needs --date, the day to which the database was restored, and excludes "
                         "--baseline: name the day, and leave out --baseline.")
    mapping = settings.mapping
    today = read_clock(settings.environ).today()
    day = day or today
    refuse_future(day, today)
    if day < (first := start_date(settings.environ)):
        raise DayRefused(f"{day} is before the first day, {first}: set {START_VARIABLE} to {day} or earlier.")
    if restored or (day == today and not baseline):
        hint = "" if restored else "or use --baseline if there is no database yet"
        read_endpoints(mapping, settings.environ, hint=hint)
    read_signing_key(settings.environ)
    existing_ledger(settings, mapping)
    require_own_reports(settings.output_dir, settings.identity)
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
        ledger = existing_ledger(settings, settings.mapping)
        return len(ledger.observations(day)) if ledger else 0
    return 0


def advise_on_mapping(mapping: MappingConfig, outcome: Outcome) -> str:
    """Return the advice to propose a mapping if a table or column of the packaged default does not exist, else ""."""
    from orgrecon_pipeline.config.mapping_file import DEFAULT_MAPPING_ADVICE, default_mapping

    missing = outcome.reason_parameters.get("sqlstate") in (UNDEFINED_TABLE, UNDEFINED_COLUMN)
    return f"the mapping {DEFAULT_MAPPING_ADVICE}." if missing and mapping == default_mapping() else ""
