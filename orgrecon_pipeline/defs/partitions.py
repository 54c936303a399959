"""The days as Dagster sees them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import dagster as dg

from orgrecon_pipeline.domain.days import parse_day
from orgrecon_pipeline.domain.errors import UsageError

START_VARIABLE = "ORGRECON_START_DATE"
DEFAULT_START = date(2024, 1, 1)


def start_date(environ: Mapping[str, str]) -> date:
    """The first day that has a partition.

    Raises:
        UsageError: when ``ORGRECON_START_DATE`` is not a day.
    """
    text = environ.get(START_VARIABLE)
    try:
        return parse_day(text) if text else DEFAULT_START
    except UsageError as error:
        raise UsageError(f"{START_VARIABLE}: {error}") from None


def daily_partitions(environ: Mapping[str, str]) -> dg.DailyPartitionsDefinition:
    """One partition a UTC day. ``end_offset=1``: today can be observed today, not only once it is over."""
    return dg.DailyPartitionsDefinition(start_date=start_date(environ).isoformat(), timezone="UTC", end_offset=1)
