"""Rules that decide which days are due to be observed; pure functions for the schedule and the sensors.

Only today can be observed, so failed attempts are repeated until late in the day. A past day is only rendered from the
ledger, and a MISSING day stays MISSING.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone

from orgrecon_pipeline.domain.days import days_ending, midnight, utc_day
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.evidence import Observation
from orgrecon_pipeline.domain.reasons import counted

#: Today is due for the sensor once this time after the daily schedule has passed.
GRACE = timedelta(minutes=10)
#: The UTC time after which no run starts, because it might not end on the same day.
LAST_AT = time(23, 30)
#: How many past days the sensors check.
LOOK_BACK_DAYS = 14

_MAX_ATTEMPTS = 8
_FIRST_PAUSE = timedelta(minutes=5)


@dataclass(frozen=True)
class Attempts:
    """How often something was attempted for a subject, and when last."""

    subject: str = ""
    made: int = 0
    last: datetime | None = None

    @classmethod
    def from_cursor(cls, text: str | None) -> Attempts:
        """Read a sensor's cursor; an invalid cursor counts as no attempts."""
        try:
            value = json.loads(text or "")
            last = datetime.fromisoformat(value["last"])
            return cls(str(value["subject"]), int(value["made"]), last if last.tzinfo else None)
        except (ValueError, TypeError, KeyError):
            return cls()

    def as_cursor(self) -> str:
        """Return the text that :meth:`from_cursor` reads."""
        last = self.last.isoformat() if self.last else None
        return json.dumps({"subject": self.subject, "made": self.made, "last": last})


@dataclass(frozen=True)
class NotDue:
    """The reason why nothing is due now."""

    reason: str


def next_attempt(subject: str, now: datetime, tried: Attempts) -> Attempts | NotDue:
    """Return the next attempt for a subject, unless it is too early or the attempts are used up."""
    if tried.subject != subject:
        return Attempts(subject, 1, now)
    if tried.made >= _MAX_ATTEMPTS:
        return NotDue(f"{subject}: giving up after {tried.made} attempts; manual action required")
    # Each pause doubles. If the clock was set back, next_at may be far in the future: do not wait for it.
    if tried.last and tried.last <= now < (next_at := tried.last + _FIRST_PAUSE * 2 ** (tried.made - 1)):
        return NotDue(f"{subject}: {counted(tried.made, 'attempt')} so far, the next one is at {_clock(next_at)}")
    return Attempts(subject, tried.made + 1, now)


def due_today(
    now: datetime, observations: Iterable[Observation], *, hour: int, running: bool, tried: Attempts,
    reported: bool = True,
) -> Attempts | NotDue:
    """Return the next attempt to observe today, unless today is not due.

    Today is due from the UTC ``hour`` of the schedule and the grace period on, if no comparison of it was ``reported``
    (a run that died may have left no report) and no run of it is queued or ``running``. ``tried`` are the attempts so
    far.
    """
    today = utc_day(now)
    begins = midnight(today) + timedelta(hours=hour) + GRACE
    ends = datetime.combine(today, LAST_AT, timezone.utc)
    # A baseline, stamped elsewhere, compares nothing: today is still due.
    compared = [observation for observation in observations if observation.provenance.compared]
    if compared and reported:
        return NotDue(f"{today} is already observed")
    if now < begins:
        return NotDue(f"{today} is not due before {_clock(begins)}")
    if now > ends:
        return NotDue(f"{today} is not attempted after {_clock(ends)}: a run might not end on the same day")
    if running:
        return NotDue(f"a run of {today} is under way")
    latest = compared[-1].observed_at if compared else None
    if latest and latest <= now < latest + _FIRST_PAUSE:
        return NotDue(f"{today} is observed, and its report may still be written")
    return next_attempt(today.isoformat(), now, tried)


def day_of_tick(tick: datetime, now: datetime, observations: Iterable[Observation], *, running: bool) -> date | NotDue:
    """Return the day that a tick of the schedule observes, unless the day is over or another run observes it."""
    day, today = utc_day(tick), utc_day(now)
    if day != today:
        return NotDue(f"the tick is of {day}, but today is {today}: a past day is never observed")
    if running:
        return NotDue(f"a run of {day} is under way")
    if any(observation.provenance.compared and observation.observed_at and observation.observed_at >= tick
           for observation in observations):
        return NotDue(f"{day} was already observed after {_clock(tick)}")
    return day


def reobservation_key(
    now: datetime, observations: Iterable[Observation], *, every: timedelta, running: bool
) -> str | NotDue:
    """Return the run key to observe today again, if its latest comparison did not PASS and is old enough.

    The key contains the number of the interval within the day: a run that died is repeated in the next interval.
    """
    today = utc_day(now)
    compared = [observation for observation in observations if observation.provenance.compared]
    if not compared:
        return NotDue(f"{today} is not observed yet")
    latest = compared[-1]
    if latest.verdict.value == "PASS":
        return NotDue(f"{today} is PASS")
    if now > datetime.combine(today, LAST_AT, timezone.utc):
        return NotDue(f"{today} is not observed again this late: a run might not end on the same day")
    due = (latest.observed_at or midnight(today)) + every
    if now < due:
        return NotDue(f"{today} is {latest.verdict.value} and due again at {_clock(due)}")
    if running:
        return NotDue(f"a run of {today} is under way")
    return f"{today}:again:{(now - midnight(today)) // every}"


def reobserve_every(hours: str | None) -> timedelta | None:
    """Return the interval that ``ORGRECON_REOBSERVE_HOURS`` sets, None if it is off.

    Raises:
        UsageError: if it is not a number from 0.25 to 24.
    """
    if not hours or hours.strip() == "0":
        return None
    try:
        number = float(hours)
    except ValueError:
        number = -1.0
    if not 0.25 <= number <= 24:
        raise UsageError(f"ORGRECON_REOBSERVE_HOURS is {hours[:20]!a}: set it to a number of hours from 0.25 to 24, "
                         "or to 0 to turn it off.")
    return timedelta(hours=number)


def past_days(today: date) -> tuple[date, ...]:
    """Return the past days that the sensors check, oldest first."""
    return days_ending(today - timedelta(days=1), LOOK_BACK_DAYS)


def _clock(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
