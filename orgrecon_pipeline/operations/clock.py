"""The clock of this machine, or one injected through ``ORGRECON_SIMULATED_NOW_FILE``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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
    """The time of this machine, or an injected time.

    An injected time dates only databases that are marked as simulated. The server's clock dates all others.
    """

    now: Callable[[], datetime] = _utc_now
    injected: bool = False

    @classmethod
    def at(cls, moment: datetime) -> Clock:
        """Return an injected clock that always shows ``moment``."""
        return cls(lambda: moment, injected=True)

    def today(self) -> date:
        """Return the current UTC day."""
        return utc_day(self.now())

    def now_for(self, provenances: Iterable[Provenance]) -> datetime:
        """Return the current time for deciding how old evidence of these provenances is.

        It is the machine's time if any evidence is real: an injected time could make old evidence look fresh.
        """
        return _utc_now() if self.injected and any(provenance.real for provenance in provenances) else self.now()


def refuse_future(day: date, today: date) -> None:
    """Raise :class:`DayRefused` if ``day`` is after ``today``."""
    if day > today:
        raise DayRefused(f"{day} is in the future: this machine's clock shows {today} (UTC). Name an earlier day.")


def read_clock(environ: Mapping[str, str]) -> Clock:
    """Return the clock that the environment asks for.

    An injected clock reads its file (one ISO 8601 timestamp) again each time it is asked.

    Raises:
        ConfigurationError: if the file that ``ORGRECON_SIMULATED_NOW_FILE`` names contains no timestamp.
    """
    name = environ.get(SIMULATED_NOW_VARIABLE)
    if not name:
        return Clock()
    path = Path(name)
    _read_timestamp(path)
    return Clock(lambda: _read_timestamp(path), injected=True)


def _read_timestamp(path: Path) -> datetime:
    try:
        text = path.read_text(encoding="ascii").strip()
        moment = datetime.fromisoformat(text.removesuffix("Z") + "+00:00" * text.endswith("Z"))
    except (OSError, ValueError):
        raise ConfigurationError(
            f"{SIMULATED_NOW_VARIABLE}: {path} does not contain a timestamp: write one such as "
            "2026-01-31T08:00:00+00:00 into it, or unset the variable."
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
