"""UTC days. A *day* is a ``datetime.date`` that always means a date in UTC."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone

from orgrecon_pipeline.domain.errors import UsageError

# \d would accept other digits ("٢٠٢٦-٠١-٠١"), and $ a trailing newline.
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def parse_day(text: str) -> date:
    """Return the day that ``YYYY-MM-DD`` names; raise UsageError for other forms, and for dates that do not exist."""
    with suppress(ValueError):
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    raise UsageError(f"{text[:40]!a} is not a day: write it as YYYY-MM-DD, for example 2026-01-31.")


def utc_day(moment: datetime) -> date:
    """Return the UTC day of an aware datetime; raise ValueError for a naive one, whose UTC day is unknown."""
    if moment.tzinfo is None:
        raise ValueError("a naive datetime has no UTC day")
    return moment.astimezone(timezone.utc).date()


def midnight(day: date) -> datetime:
    """Return the first moment of a UTC day."""
    return datetime(day.year, day.month, day.day, tzinfo=timezone.utc)


def days_ending(last: date, length: int) -> tuple[date, ...]:
    """Return the ``length`` consecutive days that end with ``last``, oldest first."""
    return tuple(last - timedelta(days=back) for back in reversed(range(length)))


def days_between(first: date, last: date) -> tuple[date, ...]:
    """Return every day from ``first`` to ``last``, inclusive; none if ``last`` is earlier."""
    return days_ending(last, (last - first).days + 1)
