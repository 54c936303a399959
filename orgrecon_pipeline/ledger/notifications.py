"""What each notification channel was told last: append-only, so that nobody is told twice and nothing is forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select

from orgrecon_pipeline.ledger.engine import Store
from orgrecon_pipeline.ledger.tables import told as table
from orgrecon_pipeline.ledger.validate import keepable


@dataclass(frozen=True)
class Notified:
    """That a channel knows the state of a topic.

    ``channel`` names it without its address; ``topic`` is a day or the gate, ``state`` a verdict or the gate's state.
    """

    channel: str
    topic: str
    state: str
    recorded_at: datetime


def record_notified(store: Store, known: Iterable[Notified]) -> None:
    """Keep what channels know from now on: all of it, or nothing."""
    rows = [{"channel": keepable(one.channel), "topic": one.topic, "state": one.state, "recorded_at": one.recorded_at}
            for one in known]
    if rows:
        with store.writing() as connection:
            connection.execute(insert(table), rows)


def last_notified(store: Store) -> dict[tuple[str, str], str]:
    """The latest state by channel and topic."""
    latest = select(func.max(table.c.number)).group_by(table.c.channel, table.c.topic)
    with store.reading() as connection:
        rows = connection.execute(select(table).where(table.c.number.in_(latest)))
        return {(row.channel, row.topic): row.state for row in rows}
