"""Which work a day still owes, decided from values alone: what a sensor asks, and a test can ask as well.

Today may be observed, so it is tried again while that makes sense. A past day never is: what the ledger knows of it is
rendered, and a MISSING day stays missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone

from orgrecon_pipeline.domain.days import days_ending, midnight, utc_day
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.evidence import Observation

#: The schedule's tick; before it and a grace period, nothing is owed.
DAILY_AT = time(8)
GRACE = timedelta(minutes=10)
#: After this, a run might not end within its day.
LAST_AT = time(23, 30)
#: Past days that are looked at.
LOOK_BACK_DAYS = 14

_MAX_ATTEMPTS = 8
_FIRST_PAUSE = timedelta(minutes=5)


@dataclass(frozen=True)
class Attempts:
    """What has been tried for one subject: how often, and when last."""

    subject: str = ""
    made: int = 0
    last: datetime | None = None

    @classmethod
    def from_cursor(cls, text: str | None) -> Attempts:
        """What a sensor remembers; a cursor that cannot be read is none."""
        try:
            held = json.loads(text or "")
            last = datetime.fromisoformat(held["last"])
            return cls(str(held["subject"]), int(held["made"]), last if last.tzinfo else None)
        except (ValueError, TypeError, KeyError):
            return cls()

    def as_cursor(self) -> str:
        """The text that :meth:`from_cursor` reads."""
        return json.dumps({
            "subject": self.subject, "made": self.made, "last": self.last.isoformat() if self.last else None,
        })

    def next_at(self) -> datetime | None:
        """When the next attempt may be made; each pause is twice the one before. None for the first attempt."""
        return None if self.last is None else self.last + _FIRST_PAUSE * 2 ** (self.made - 1)


@dataclass(frozen=True)
class NotDue:
    """Nothing is to be done now, and why."""

    reason: str


def attempt(subject: str, now: datetime, tried: Attempts) -> Attempts | NotDue:
    """The next attempt at a subject, unless it comes too early or there were enough of them."""
    if tried.subject != subject:
        return Attempts(subject, 1, now)
    if tried.made >= _MAX_ATTEMPTS:
        return NotDue(f"{subject} was tried {tried.made} times: it needs a person")
    next_at = tried.next_at()
    # A clock that was set back must not stop everything for good.
    if next_at is not None and tried.last is not None and tried.last <= now < next_at:
        return NotDue(f"{subject} was tried {tried.made} times, the next attempt is at {_clock(next_at)}")
    return Attempts(subject, tried.made + 1, now)


def due_today(
    now: datetime, observations: Iterable[Observation], *, running: bool, tried: Attempts, reported: bool = True
) -> Attempts | NotDue:
    """Whether today is owed: its hour has come, nothing has compared and reported it, and nothing is about to.

    Args:
        now: the current moment.
        observations: those of today.
        running: whether a run of today is queued or running.
        tried: what the sensor remembers.
        reported: whether the report of these observations is there; a run that died between the two left none.
    """
    today = utc_day(now)
    begins = midnight(today) + timedelta(hours=DAILY_AT.hour) + GRACE
    ends = datetime.combine(today, LAST_AT, timezone.utc)
    # A baseline stamped elsewhere compares nothing: where there is a database, the day is still owed.
    compared = [seen for seen in observations if seen.provenance.compared]
    if compared and reported:
        return NotDue(f"{today} is observed")
    if now < begins:
        return NotDue(f"{today} is not owed before {_clock(begins)}")
    if now > ends:
        return NotDue(f"{today} is given up since {_clock(ends)}: a run might not end within its day")
    if running:
        return NotDue(f"a run of {today} is under way")
    latest = compared[-1].observed_at if compared else None
    if latest and latest <= now < latest + _FIRST_PAUSE:
        return NotDue(f"{today} is observed, and its report may be under way")
    return attempt(today.isoformat(), now, tried)


def day_of_tick(tick: datetime, now: datetime, observations: Iterable[Observation], *, running: bool) -> date | NotDue:
    """The day that a tick of the schedule is for, unless it was overtaken by the clock, or by another run."""
    day, today = utc_day(tick), utc_day(now)
    if day != today:
        return NotDue(f"the tick is of {day}, and it is {today} by now: a past day is never observed")
    if running:
        return NotDue(f"a run of {day} is under way")
    if any(seen.provenance.compared and seen.observed_at and seen.observed_at >= tick for seen in observations):
        return NotDue(f"{day} was observed since {_clock(tick)}")
    return day


def reobservation_key(now: datetime, observations: Iterable[Observation], *, every: timedelta, running: bool) -> str | NotDue:
    """The run key under which today is observed again: its latest comparison did not pass, and is old enough.

    The key holds the slot of the day that is due, so that a run that died is tried again in the next one.
    """
    today = utc_day(now)
    compared = [seen for seen in observations if seen.provenance.compared]
    if not compared:
        return NotDue(f"{today} is not observed yet")
    latest = compared[-1]
    if latest.verdict.value == "PASS":
        return NotDue(f"{today} is PASS")
    if now > datetime.combine(today, LAST_AT, timezone.utc):
        return NotDue(f"{today} is over: a run might not end within its day")
    due = (latest.observed_at or midnight(today)) + every
    if now < due:
        return NotDue(f"{today} is {latest.verdict.value}, and due again at {_clock(due)}")
    if running:
        return NotDue(f"a run of {today} is under way")
    return f"{today}:again:{(now - midnight(today)) // every}"


def reobserve_every(hours: str | None) -> timedelta | None:
    """``ORGRECON_REOBSERVE_HOURS`` as a time span; None when it is off.

    Raises:
        UsageError: when it is not a number from 0.25 to 24.
    """
    if not hours or hours.strip() == "0":
        return None
    try:
        number = float(hours)
    except ValueError:
        number = -1.0
    if not 0.25 <= number <= 24:
        raise UsageError(f"ORGRECON_REOBSERVE_HOURS is {hours[:20]!a}: write hours from 0.25 to 24, or 0 for never.")
    return timedelta(hours=number)


def past_days(today: date) -> tuple[date, ...]:
    """The past days that are looked at, oldest first."""
    return days_ending(today - timedelta(days=1), LOOK_BACK_DAYS)


def _clock(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
