"""What can be refused of a request for a day before anything heavy is loaded or touched."""

from __future__ import annotations

from datetime import date

from orgrecon_pipeline.config.mapping_file import load_mapping
from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.operations.clock import SIMULATED_NOW_VARIABLE, clock_of, refuse_future
from orgrecon_pipeline.operations.context import endpoints_of
from orgrecon_pipeline.report.write import check_writable


def check_request(settings: Settings, day: date | None, *, baseline: bool, restored: bool = False) -> date:
    """The day to materialise, by default today.

    Raises:
        UsageError: when a baseline is to be restored, or no day is named that the database was restored to.
        DayRefused: for a day in the future.
        ConfigurationError: when the mapping is none, today is to be observed and no usable database is named, or the
            audit directory cannot be written.
    """
    if restored and (baseline or day is None):
        raise UsageError("--restored needs --date, the day that the database was restored to, and no --baseline.")
    mapping = load_mapping(settings.mapping_file, settings.environ)
    today = clock_of(settings.environ.get(SIMULATED_NOW_VARIABLE)).today()
    day = day or today
    refuse_future(day, today)
    if restored or (day == today and not baseline):
        endpoints_of(mapping, settings.environ)
    check_writable(settings.output_dir)
    return day
