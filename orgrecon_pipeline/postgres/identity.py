"""Identity of a database and of the snapshot that is read from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import sql

from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.postgres.replica import HeartbeatRead, Standby, read_heartbeat, read_standby
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.sql_files import load_sql


@dataclass(frozen=True)
class DatabaseIdentity:
    """Database of a snapshot.

    Attributes:
        observed_at: the server's clock at the snapshot.
        started_at: the start of the server. It tells a standby from its primary.
        lsn: how far the WAL was flushed (primary) or replayed (standby), None if the server does not show it.
        timeline: the timeline of a primary.
        citus: the version of the extension Citus, None if the database does not have it.
    """

    observed_at: datetime
    snapshot: str
    database: str
    server_version: str
    server_version_num: int
    system_identifier: str
    started_at: str
    in_recovery: bool
    simulated: bool
    standby: Standby | None = None
    heartbeat: HeartbeatRead | None = None
    lsn: str | None = None
    timeline: int | None = None
    citus: str | None = None

    @property
    def instance(self) -> tuple[str, str, str]:
        """System identifier, database name and start time."""
        return self.system_identifier, self.database, self.started_at

    def shows_same_rows_as(self, earlier: DatabaseIdentity) -> bool:
        """Return whether no transaction has committed a row between both snapshots.

        The snapshot of a standby does not name all transactions in progress. A snapshot of Citus names only the
        coordinator's.
        """
        return not (self.in_recovery or self.citus) and (
            (self.instance, self.snapshot) == (earlier.instance, earlier.snapshot))

    def lag(self, limit: float) -> str:
        """Return why the data may be more than ``limit`` seconds old; empty if it is not."""
        copy = self.heartbeat or self.standby
        return copy.lag(limit) if copy else ""

    def as_json_value(self) -> dict[str, Any]:
        """Return what the record stores."""
        return {
            "database": self.database, "system_identifier": self.system_identifier, "snapshot": self.snapshot,
            "server_version": self.server_version, "in_recovery": self.in_recovery,
            **({"citus": self.citus} if self.citus else {}),
            **({"lsn": self.lsn} if self.lsn else {}),
            **({"timeline": self.timeline} if self.timeline else {}),
            **({"standby": self.standby.as_json_value()} if self.standby else {}),
            **({"heartbeat": self.heartbeat.as_json_value()} if self.heartbeat else {}),
        }


def identify(session: Session) -> DatabaseIdentity:
    """Take the snapshot of the open transaction, and return the identity of its database."""
    position = _read_position(session)  # first, so that it is the time and the position of the snapshot
    row = session.query(load_sql("postgres/sql/identity.sql"), "reading the server's identity")[0]
    heartbeat = session.settings.heartbeat
    return DatabaseIdentity(
        **{**row, **position, "simulated": row["simulated"] == "on"},
        standby=read_standby(session) if row["in_recovery"] else None,
        heartbeat=read_heartbeat(session, heartbeat) if heartbeat else None,
        citus=session.citus_version)


def _read_position(session: Session) -> dict[str, Any]:
    """Return ``observed_at``, ``lsn`` and ``timeline``; empty if the role may not read them, or the server cannot."""
    action = "reading the WAL position"
    session.execute(sql.SQL("SAVEPOINT position"), action)
    try:
        position = session.query(load_sql("postgres/sql/position.sql"), action)[0]
    except CannotDecide:
        session.execute(sql.SQL("ROLLBACK TO SAVEPOINT position; RELEASE SAVEPOINT position"), action)
        return {}
    session.execute(sql.SQL("RELEASE SAVEPOINT position"), action)
    return position
