"""The client's clock. It decides nothing about a live database, whose own clock does that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timezone

from orgrecon_pipeline.domain.days import utc_day


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
