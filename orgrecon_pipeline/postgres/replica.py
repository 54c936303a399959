"""How far behind a copy is, and what a restored server proves of the time that it was restored to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any

from orgrecon_pipeline.domain.record import instant_text


@dataclass(frozen=True)
class HeartbeatRead:
    """The heartbeat as the snapshot shows it: its age by this server's clock, None when there is none at all.

    Where it is read it decides alone: it alone is right behind a standby that is itself cut off, and on a copy that
    is no standby (logical replication).
    """

    age_seconds: float | None

    def lag(self, longest: float) -> str:
        """Why what is read here may be more than ``longest`` seconds old; empty when it is not."""
        if self.age_seconds is None:
            return "scan.heartbeat: the snapshot holds no heartbeat: let something write one every few seconds"
        if self.age_seconds < -longest:
            return ("scan.heartbeat: the heartbeat is later than this clock by more than max_replica_lag_seconds "
                    f"({longest:g} s): set the clocks, or correct the row")
        if self.age_seconds <= longest:
            return ""
        return (f"scan.heartbeat: the heartbeat is {self.age_seconds:.0f} s old, more than max_replica_lag_seconds "
                f"({longest:g} s): this copy is behind, or nothing writes the heartbeat")

    def as_json_value(self) -> dict[str, Any]:
        """What the record says of it."""
        known = self.age_seconds is not None and isfinite(self.age_seconds)
        return {"age_seconds": round(self.age_seconds, 3) if known and self.age_seconds is not None else None}


@dataclass(frozen=True)
class Standby:
    """A server in recovery, at the snapshot.

    ``replayed_at`` is when the last replayed transaction was committed, by the primary's clock, and ``age_seconds`` how
    long ago that is; None when none was replayed since the start. ``paused`` says that replay was told to stand still,
    ``pending`` that more was received than was replayed, ``receiving`` that something is connected to receive from.
    ``caught_up_seconds`` is how long ago the primary last said
    that there is nothing more than what was replayed; None when it did not, or this role may not know.
    """

    replayed_at: datetime | None
    replay_lsn: str | None
    receive_lsn: str | None
    age_seconds: float | None
    paused: bool
    pending: bool
    receiving: bool
    caught_up_seconds: float | None

    def shows(self, moment: datetime) -> bool:
        """Whether a write that was committed by that moment is seen: it was replayed, or what comes in is."""
        if self.replayed_at is not None and self.replayed_at >= moment:
            return True
        return self.receiving and not self.pending

    def lag(self, longest: float) -> str:
        """Why what is read here may be more than ``longest`` seconds old; empty when it is not.

        An idle primary is no lag: its last transaction may be old, if the primary says that it was the last one.
        A transaction of the future proves nothing: by clocks that far apart an old one looks new.
        """
        if any(known is not None and abs(known) <= longest for known in (self.age_seconds, self.caught_up_seconds)):
            return ""
        if self.age_seconds is not None and self.age_seconds < 0:
            return (f"this is a standby and the last replayed transaction is {-self.age_seconds:.0f} s later than its "
                    f"clock, more than max_replica_lag_seconds ({longest:g} s): set the clocks of both servers")
        last = "nothing has been replayed" if self.age_seconds is None else (
            f"the last replayed transaction is {self.age_seconds:.0f} s old")
        return (
            f"this is a standby and {last}, more than max_replica_lag_seconds ({longest:g} s): read the primary, or, "
            "if that is only idle, name a scan.heartbeat in the mapping or grant this role pg_read_all_stats"
        )

    def as_json_value(self) -> dict[str, Any]:
        """What the record says of it."""
        return {
            "replayed_at": instant_text(self.replayed_at),
            "replay_lsn": self.replay_lsn,
            "receive_lsn": self.receive_lsn,
            "replayed_age_seconds": None if self.age_seconds is None else round(self.age_seconds, 3),
            "caught_up_seconds": None if self.caught_up_seconds is None else round(self.caught_up_seconds, 3),
        }
