"""What can be refused of a request for a day before anything heavy is loaded or touched."""

from __future__ import annotations

from datetime import date

from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.errors import ConfigurationError, DayRefused
from orgrecon_pipeline.operations.context import SOURCE_VARIABLE
from orgrecon_pipeline.operations.opening import SIMULATED_NOW_VARIABLE, clock_of
from orgrecon_pipeline.report.write import check_writable
from orgrecon_pipeline.source.dsn import Dsn


def check_request(settings: Settings, day: date | None, *, baseline: bool) -> date:
    """The day to materialise, by default today.

    Raises:
        DayRefused: for a day in the future.
        ConfigurationError: when today is to be observed and no usable database is named, or the audit directory
            cannot be written.
    """
    today = clock_of(settings.environ.get(SIMULATED_NOW_VARIABLE)).today()
    day = day or today
    if day > today:
        raise DayRefused(f"{day} is in the future: it is {today} in UTC by this machine's clock.")
    if day == today and not baseline:
        text = settings.environ.get(SOURCE_VARIABLE)
        if not text:
            raise ConfigurationError(
                f"{SOURCE_VARIABLE} is not set: set it to postgresql://user:password@host:5432/database, "
                "or use --baseline where there is no database yet."
            )
        Dsn.parse(text, SOURCE_VARIABLE)
    check_writable(settings.output_dir)
    return day
