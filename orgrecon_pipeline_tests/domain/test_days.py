"""UTC days: their only written form, and the arithmetic of windows."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import pytest

from orgrecon_pipeline.domain.days import days_between, days_ending, parse_day, utc_day
from orgrecon_pipeline.domain.errors import UsageError


@pytest.mark.parametrize("text", [
    "20260101", "2026-W01-1", "2026-1-1", "2026-01-01 ", " 2026-01-01", "2026-01-01\n",
    "\u0662\u0660\u0662\u0666-\u0660\u0661-\u0660\u0661", "\uff12\uff10\uff12\uff16-\uff10\uff11-\uff10\uff11",
    "2026-02-29", "2026-13-01", "2026-00-10", "2026-01-32", "0000-01-01", "../2026-01-01", "2026-01-01T00:00:00Z",
    "26-01-01", "-2026-01-01", "today", "", "2026/01/01", "2026-01-01\x00",
])
def test_parse_day_refuses_every_other_form(text: str) -> None:
    with pytest.raises(UsageError, match="is not a day: write it as YYYY-MM-DD") as error:
        parse_day(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["2024-02-29", "2026-12-31", "2000-01-01", "9999-12-31"])
def test_parse_day_accepts_iso_dates(text: str) -> None:
    assert parse_day(text).isoformat() == text


def test_utc_day_converts_time_zones_and_refuses_naive_times() -> None:
    in_kiritimati = datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=14)))
    assert utc_day(in_kiritimati) == date(2025, 12, 31)
    with pytest.raises(ValueError, match="naive"):
        utc_day(datetime(2026, 1, 1))  # noqa: DTZ001


def test_days_ending_and_between_cross_months_and_leap_days() -> None:
    assert days_ending(date(2024, 3, 1), 3) == (date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1))
    assert days_between(date(2025, 12, 31), date(2026, 1, 1)) == (date(2025, 12, 31), date(2026, 1, 1))
    assert days_between(date(2026, 1, 2), date(2026, 1, 1)) == ()
