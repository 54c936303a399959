"""How far behind a standby is, and what a restored server proves of the time that it was restored to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orgrecon_pipeline.domain.record import instant_text


@dataclass(frozen=True)
class Standby:
    """A server in recovery, at the snapshot.

    ``replayed_at`` is when the last replayed transaction was committed, by the primary's clock, and ``age_seconds`` how
    long ago that is; None when none was replayed since the start. ``pending`` says that more was received than was
    replayed. ``caught_up_seconds`` is how long ago the primary last said that there is nothing more than what was
    replayed; None when it did not, or this role may not know.
    """

    replayed_at: datetime | None
    replay_lsn: str | None
    receive_lsn: str | None
    age_seconds: float | None
    pending: bool
    caught_up_seconds: float | None

    def shows(self, moment: datetime) -> bool:
        """Whether a write that was committed by that moment is seen: it was replayed, or nothing waits to be."""
        return not self.pending or (self.replayed_at is not None and self.replayed_at >= moment)

    def lag(self, longest: float) -> str:
        """Why what is read here may be more than ``longest`` seconds old; empty when it is not.

        An idle primary is no lag: its last transaction may be old, if the primary says that it was the last one.
        """
        if any(known is not None and known <= longest for known in (self.age_seconds, self.caught_up_seconds)):
            return ""
        last = "nothing has been replayed" if self.age_seconds is None else (
            f"the last replayed transaction is {self.age_seconds:.0f} s old")
        return (
            f"this is a standby and {last}, more than max_replica_lag_seconds ({longest:g} s): read the primary, or, "
            "if that is only idle, grant this role pg_read_all_stats or have something committed every few seconds"
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
