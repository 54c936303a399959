"""Whether a physical copy of a server shows the transactions that an earlier snapshot of the server showed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.reasons import counted
from orgrecon_pipeline.postgres.identity import DatabaseIdentity
from orgrecon_pipeline.postgres.int8_arrays import int8_array
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.sql_files import load_sql

_SNAPSHOT = re.compile(r"(\d+):(\d+):((?:\d+,)*\d+)?")
# More transactions are not examined: the moments are far apart.
_MAX_EXAMINED = 1_000


class ShownTransactions(NamedTuple):
    """A snapshot as the server writes it: earlier transactions have ended, later ones have not begun."""

    xmin: int
    xmax: int
    in_progress: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> ShownTransactions | None:
        """Return the snapshot that a text shows, None if it is none."""
        if not (match := _SNAPSHOT.fullmatch(text)):
            return None
        xids = frozenset(map(int, match[3].split(","))) if match[3] else frozenset()
        return cls(int(match[1]), int(match[2]), xids)

    def ended(self, xid: int) -> bool:
        """Return whether a transaction had ended."""
        return xid < self.xmax and xid not in self.in_progress


def other_moment(session: Session, identity: DatabaseIdentity, described: Mapping[str, Any]) -> str:
    """Return how the open snapshot differs from the snapshot that a record describes, as a predicate.

    The text is empty if they do not differ, if that is unknown, or if this server is no physical copy of the other.
    """
    if described.get("system_identifier") != identity.system_identifier:
        return ""
    then, now = (ShownTransactions.parse(str(text)) for text in (described.get("snapshot"), identity.snapshot))
    if then is None or now is None:
        return ""
    examined = range(min(then.xmin, now.xmin), max(then.xmax, now.xmax))[:_MAX_EXAMINED]
    known = [xid for xid in examined if xid < now.xmax]
    states: dict[int, str] = {}
    with suppress(CannotDecide):
        states = {row["xid"]: row["state"] for row in session.query_aside(
            load_sql("postgres/sql/transaction_states.sql"), "comparing the moments", {"xids": int8_array(known)})}
    later = [xid for xid in known if states.get(xid) == "committed" and not then.ended(xid)]
    missing = [xid for xid in examined if then.ended(xid) and states.get(xid, "in progress") == "in progress"]
    if later:
        return (f"shows {counted(len(later), 'transaction')} that the snapshot of the observation did not: restore "
                f"with recovery_target_xid = '{later[0]}' and recovery_target_inclusive = 'off'")
    if missing and (states or not known):
        return (f"lacks {counted(len(missing), 'transaction')} that the snapshot of the observation showed: restore "
                f"with recovery_target_xid = '{missing[-1]}'")
    return ""
