"""The client's clock. It decides nothing about a live database, whose own clock does that."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path

from orgrecon_pipeline.domain.days import utc_day
from orgrecon_pipeline.domain.errors import ConfigurationError, DayRefused
from orgrecon_pipeline.domain.evidence import Provenance

SIMULATED_NOW_VARIABLE = "ORGRECON_SIMULATED_NOW_FILE"


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(frozen=True)
class Clock:
    """The time of this machine, or an injected one.

    An injected time is honoured only for a database that is marked as simulated: evidence of a real one is dated by
    its server, whatever a client says.
    """

    now: Callable[[], datetime] = _utc_now
    injected: bool = False

    @classmethod
    def at(cls, moment: datetime) -> Clock:
        """A clock that stands still."""
        return cls(lambda: moment, injected=True)

    def today(self) -> date:
        """The current UTC day."""
        return utc_day(self.now())

    def judging(self, evidence: Iterable[Provenance]) -> datetime:
        """The moment at which evidence is judged: an injected one only where none is of a database in use, which it
        would make look fresh."""
        return _utc_now() if self.injected and any(seen.real for seen in evidence) else self.now()


def refuse_future(day: date, today: date) -> None:
    """Pass only what has begun.

    Raises:
        DayRefused: for a day after today.
    """
    if day > today:
        raise DayRefused(f"{day} is in the future: it is {today} in UTC by this machine's clock.")


def clock_of(simulated_now_file: str | None) -> Clock:
    """This machine's clock, or the moment in a file (ISO 8601), read anew whenever the time is asked.

    Raises:
        ConfigurationError: when the file holds no moment.
    """
    if not simulated_now_file:
        return Clock()
    path = Path(simulated_now_file)
    _moment(path)
    return Clock(lambda: _moment(path), injected=True)


def _moment(path: Path) -> datetime:
    try:
        text = path.read_text(encoding="ascii").strip()
        moment = datetime.fromisoformat(text.removesuffix("Z") + "+00:00" * text.endswith("Z"))
    except (OSError, ValueError):
        raise ConfigurationError(
            f"{SIMULATED_NOW_VARIABLE}: {path} does not hold a moment such as 2026-01-31T08:00:00+00:00."
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
