"""Replication lag: what a standby or a heartbeat shows about the age of the data that a snapshot reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any

from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping.model import Heartbeat
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.domain.record import instant_text
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.sql_files import fragment, load_sql, where_clause

_HEARTBEAT = "scan.heartbeat"
_HEARTBEAT_TYPE = "timestamp with time zone"


@dataclass(frozen=True)
class HeartbeatRead:
    """Age of the heartbeat by this server's clock; None if the snapshot contains no heartbeat.

    A configured heartbeat decides alone. Only a heartbeat shows the lag of a standby whose own source is cut off, and
    of a logical replica.
    """

    age_seconds: float | None

    def lag(self, limit: float) -> str:
        """Return why the data may be more than ``limit`` seconds old; empty if it is not."""
        if self.age_seconds is None:
            return f"{_HEARTBEAT}: the snapshot contains no heartbeat: write one every few seconds"
        if self.age_seconds < -limit:
            return (f"{_HEARTBEAT}: the heartbeat is ahead of this server's clock by more than "
                    f"max_replica_lag_seconds ({limit:g} s): synchronise the clocks or correct the row")
        return "" if self.age_seconds <= limit else (
            f"{_HEARTBEAT}: the heartbeat is {self.age_seconds:.0f} s old, more than max_replica_lag_seconds "
            f"({limit:g} s): this copy lags behind, or the heartbeat is no longer written")

    def as_json_value(self) -> dict[str, Any]:
        """Return what the record stores."""
        age = self.age_seconds
        return {"age_seconds": None if age is None or not isfinite(age) else round(age, 3)}


@dataclass(frozen=True)
class Standby:
    """State of a server in recovery, at the snapshot.

    Attributes:
        replayed_at: commit time of the last replayed transaction, by the primary's clock; None if nothing was replayed
            since the start. ``age_seconds`` is how long ago that is.
        paused: whether replay is paused.
        pending: whether WAL was received that is not replayed yet.
        receiving: whether a WAL receiver is running.
        caught_up_seconds: how long ago the primary last confirmed that everything is replayed; None if it did not, or
            if this role may not see it.
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
        """Return whether every write that was committed by that moment is replayed."""
        replayed = self.replayed_at is not None and self.replayed_at >= moment
        return replayed or (self.receiving and not self.pending)

    def lag(self, limit: float) -> str:
        """Return why the data may be more than ``limit`` seconds old; empty if it is not.

        If the primary is idle, its last transaction may be old, as long as the primary confirms that it was the last.
        A transaction from the future proves nothing: with such clocks, an old transaction looks new.
        """
        if any(known is not None and abs(known) <= limit for known in (self.age_seconds, self.caught_up_seconds)):
            return ""
        if self.age_seconds is not None and self.age_seconds < 0:
            return (f"this is a standby and its last replayed transaction is {-self.age_seconds:.0f} s ahead of its "
                    f"clock, more than max_replica_lag_seconds ({limit:g} s): synchronise the clocks of both servers")
        last = "it has replayed no transaction" if self.age_seconds is None else (
            f"its last replayed transaction is {self.age_seconds:.0f} s old")
        return (
            f"this is a standby and {last}, more than max_replica_lag_seconds ({limit:g} s): read the primary, or, if "
            "the primary is only idle, set scan.heartbeat in the mapping or grant pg_read_all_stats to this role")

    def as_json_value(self) -> dict[str, Any]:
        """Return what the record stores."""
        return {
            "replayed_at": instant_text(self.replayed_at),
            "replay_lsn": self.replay_lsn,
            "receive_lsn": self.receive_lsn,
            "replayed_age_seconds": None if self.age_seconds is None else round(self.age_seconds, 3),
            "caught_up_seconds": None if self.caught_up_seconds is None else round(self.caught_up_seconds, 3),
        }


def read_standby(session: Session) -> Standby:
    """Return the state of the standby in the open transaction."""
    return Standby(**session.query(load_sql("postgres/sql/standby.sql"), "reading the replay position")[0])


def read_heartbeat(session: Session, heartbeat: Heartbeat) -> HeartbeatRead:
    """Return the latest heartbeat in the open transaction."""
    statement = load_sql("postgres/sql/heartbeat.sql").format(
        at=fragment(heartbeat.at), heartbeat=fragment(heartbeat.from_), where=where_clause(heartbeat.where))
    [row] = session.query(statement, _HEARTBEAT)
    if row["type"] != _HEARTBEAT_TYPE:
        raise CannotDecide(f"{_HEARTBEAT}: at has the type {row['type']} and must be {_HEARTBEAT_TYPE}: "
                           "convert it in the mapping, as in at AT TIME ZONE 'UTC'", ReasonCode.TYPE_MISMATCH)
    return HeartbeatRead(row["age_seconds"])
