"""UTC days: the only calendar of the project.

A *day* is a ``datetime.date`` that is always meant in UTC.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone

from orgrecon_pipeline.domain.errors import UsageError

# [0-9] and not \d, fullmatch and not $: "٢٠٢٦-٠١-٠١" and a trailing newline are not days.
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def parse_day(text: str) -> date:
    """Read ``YYYY-MM-DD`` and nothing else.

    Raises:
        UsageError: for every other form, and for dates that no calendar has.
    """
    if _DAY.fullmatch(text):
        try:
            return date(int(text[:4]), int(text[5:7]), int(text[8:]))
        except ValueError:
            pass
    raise UsageError(f"{text[:40]!a} is not a day: write it as YYYY-MM-DD, for example 2026-01-31.")


def utc_day(moment: datetime) -> date:
    """The UTC day on which an aware moment falls.

    Raises:
        ValueError: for a naive moment, whose day nobody can tell.
    """
    if moment.tzinfo is None:
        raise ValueError("a naive datetime has no UTC day")
    return moment.astimezone(timezone.utc).date()


def midnight(day: date) -> datetime:
    """The first moment of a UTC day."""
    return datetime(day.year, day.month, day.day, tzinfo=timezone.utc)


def days_ending(last: date, length: int) -> tuple[date, ...]:
    """The ``length`` consecutive days of which ``last`` is the last, oldest first."""
    return tuple(last - timedelta(days=back) for back in reversed(range(length)))


def days_between(first: date, last: date) -> tuple[date, ...]:
    """Every day from ``first`` to ``last``, both included; empty when ``last`` is earlier."""
    return days_ending(last, (last - first).days + 1)
