"""Rules for due days, tested without Dagster."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from functools import partial
from itertools import pairwise

import pytest

from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.evidence import EntityTotals, Observation, Provenance, Verdict
from orgrecon_pipeline.operations.observe import due_days
from orgrecon_pipeline.operations.observe.due_days import (
    Attempts,
    NotDue,
    day_of_tick,
    past_days,
    reobservation_key,
    reobserve_every,
)

DAY = date(2026, 3, 10)

due_today = partial(due_days.due_today, hour=8)


def at(hour: int, minute: int = 0, day: date = DAY) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=timezone.utc)


def observation(verdict: Verdict = Verdict.PASS, provenance: Provenance = Provenance.LIVE, when: datetime | None = None,
         ) -> Observation:
    return Observation(
        id="x", title="Org Model v2.3", ledger="0123456789abcdef",
        day=DAY, provenance=provenance, verdict=verdict, reason="", reason_code="unknown", reason_parameters={},
        mapping_digest="d", orgrecon_version="1",
        observed_at=None if provenance is Provenance.BASELINE else when or at(8), tenants_scanned=0,
        tenants_with_drift=0, entities={"org_units": EntityTotals.zero()}, compared={},
    )


NONE = Attempts()


@pytest.mark.parametrize(("now", "observations", "running", "reason"), [
    (at(0), [], False, "not due before"),
    (at(8, 9), [], False, "not due before"),
    (at(12), [observation()], False, "is already observed"),
    (at(12), [observation(Verdict.FAIL)], False, "is already observed"),
    (at(12), [observation(Verdict.INCONCLUSIVE)], False, "is already observed"),
    (at(12), [], True, "under way"),
    (at(23, 31), [], False, "not attempted after"),
])
def test_due_today_outside_its_conditions_returns_the_reason(
    now: datetime, observations: list[Observation], running: bool, reason: str
) -> None:
    due = due_today(now, observations, running=running, tried=NONE)
    assert isinstance(due, NotDue)
    assert reason in due.reason


@pytest.mark.parametrize("now", [at(8, 10), at(12), at(23, 30)])
@pytest.mark.parametrize("observations", [[], [observation(provenance=Provenance.BASELINE)]])
def test_due_today_without_comparison_is_due_until_late(
    now: datetime, observations: list[Observation],
) -> None:
    assert due_today(now, observations, running=False, tried=NONE) == Attempts("2026-03-10", 1, now)


def attempts_of_a_day(step: timedelta) -> list[datetime]:
    """Return the times at which a sensor with this interval starts a run, if every run dies."""
    tried, made, now = NONE, [], at(0)
    while now.date() == DAY:
        due = due_today(now, [], running=False, tried=Attempts.from_cursor(tried.as_cursor()))
        if isinstance(due, Attempts):
            tried = due
            made.append(now)
        now += step
    return made


def test_attempts_of_a_day_are_bounded_and_pauses_double() -> None:
    made = attempts_of_a_day(timedelta(minutes=1))
    pauses = [int((b - a).total_seconds()) // 60 for a, b in pairwise(made)]
    assert made[0] == at(8, 10)
    assert pauses == [5, 10, 20, 40, 80, 160, 320]
    assert made[-1] <= at(23, 30)


def test_due_today_on_a_new_day_starts_with_the_first_attempt() -> None:
    exhausted = Attempts("2026-03-09", 8, at(23, 0, DAY - timedelta(days=1)))
    assert due_today(at(9), [], running=False, tried=exhausted) == Attempts("2026-03-10", 1, at(9))


@pytest.mark.parametrize(("hour", "now", "due"), [(6, at(6, 9), False), (6, at(6, 10), True), (20, at(19), False),
                                                  (20, at(20, 30), True), (0, at(0, 30), True)])
def test_due_today_begins_after_the_hour_of_the_schedule(hour: int, now: datetime, due: bool) -> None:
    attempt = due_days.due_today(now, [], hour=hour, running=False, tried=NONE)
    assert isinstance(attempt, Attempts) is due


def test_due_today_after_the_clock_was_set_back_is_still_due() -> None:
    ahead = Attempts("2026-03-10", 2, at(20))
    assert due_today(at(9), [], running=False, tried=ahead) == Attempts("2026-03-10", 3, at(9))


@pytest.mark.parametrize("cursor", [None, "", "x", "null", "[]", "{}", '{"subject": 1}', '{"subject":"a","made":"x",'
                                    '"last":"2026-01-01"}', '{"subject":"a","made":1,"last":"never"}'])
def test_invalid_cursor_counts_as_no_attempts(cursor: str | None) -> None:
    assert Attempts.from_cursor(cursor) == NONE


def test_cursor_round_trips() -> None:
    for attempts in (NONE, Attempts("2026-03-10", 3, at(9, 5))):
        parsed = Attempts.from_cursor(attempts.as_cursor())
        assert (parsed.made, parsed.last) == (attempts.made, attempts.last) or attempts == NONE


@pytest.mark.parametrize(("now", "observations", "running", "due"), [
    (at(8), [], False, True),
    (at(8, 30), [], False, True),
    (at(8, 1), [observation(when=at(6))], False, True),
    (at(8, 1), [observation(provenance=Provenance.BASELINE)], False, True),
    (at(8, 1), [observation(when=at(8, 0))], False, False),
    (at(8), [], True, False),
    (at(0, 1, DAY + timedelta(days=1)), [], False, False),
    (at(23, 59, DAY - timedelta(days=1)), [], False, False),
])
def test_tick_observes_its_own_day_or_none(
    now: datetime, observations: list[Observation], running: bool, due: bool,
) -> None:
    day = day_of_tick(at(8), now, observations, running=running)
    assert day == DAY if due else isinstance(day, NotDue)


THREE_HOURS = timedelta(hours=3)


@pytest.mark.parametrize(("now", "observations", "running", "key"), [
    (at(12), [], False, None),
    (at(12), [observation()], False, None),
    (at(12), [observation(provenance=Provenance.BASELINE)], False, None),
    (at(10, 59), [observation(Verdict.FAIL)], False, None),
    (at(11), [observation(Verdict.FAIL)], False, "2026-03-10:again:3"),
    (at(11), [observation(Verdict.FAIL)], True, None),
    (at(11), [observation(Verdict.INCONCLUSIVE)], False, "2026-03-10:again:3"),
    (at(12), [observation(Verdict.INCONCLUSIVE)], False, "2026-03-10:again:4"),
    (at(11), [observation(Verdict.FAIL), observation()], False, None),
    (at(11), [observation(), observation(Verdict.INCONCLUSIVE)], False, "2026-03-10:again:3"),
    (at(23, 31), [observation(Verdict.FAIL)], False, None),
])
def test_reobservation_is_due_until_today_passes(
    now: datetime, observations: list[Observation], running: bool, key: str | None,
) -> None:
    due = reobservation_key(now, observations, every=THREE_HOURS, running=running)
    assert due == key if key else isinstance(due, NotDue)


@pytest.mark.parametrize(("text", "hours"), [(None, None), ("", None), ("0", None), ("3", 3), ("0.5", 0.5), ("24", 24)])
def test_reobserve_hours_are_parsed(text: str | None, hours: float | None) -> None:
    assert reobserve_every(text) == (None if hours is None else timedelta(hours=hours))


@pytest.mark.parametrize("text", ["-1", "25", "nan", "inf", "3h", "1e9", " "])
def test_invalid_reobserve_hours_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="ORGRECON_REOBSERVE_HOURS"):
        reobserve_every(text)


def test_past_days_are_two_weeks_without_today() -> None:
    days = past_days(DAY)
    assert (len(days), days[0], days[-1]) == (14, date(2026, 2, 24), date(2026, 3, 9))
