"""Reading the heartbeat that the mapping names, in the snapshot of the comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping import Heartbeat
from orgrecon_pipeline.postgres.replica import HeartbeatRead
from orgrecon_pipeline.postgres.sql_files import fragment, load_sql, where_clause

if TYPE_CHECKING:
    from orgrecon_pipeline.postgres.session import Session

_DOING = "scan.heartbeat"
_TYPE = "timestamp with time zone"


def read_heartbeat(session: Session, heartbeat: Heartbeat) -> HeartbeatRead:
    """The latest heartbeat of the open transaction.

    Raises:
        CannotDecide: when it cannot be read, or is of a type that does not say which moment is meant.
    """
    [row] = session.query(load_sql("postgres", "heartbeat.sql").format(
        at=fragment(heartbeat.at), heartbeat=fragment(heartbeat.from_),
        where=where_clause(heartbeat.where),
    ), _DOING)
    if row["type"] != _TYPE:
        raise CannotDecide(
            f"{_DOING}: at is {row['type']}, and must be {_TYPE}: say which zone it is in, as in at AT TIME ZONE 'UTC'")
    return HeartbeatRead(row["age_seconds"])
