"""Reading the history of coverage."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import groupby
from typing import Any

from sqlalchemy import select

from orgrecon_pipeline.domain.coverage import CoverageEvent, Happening, Subject
from orgrecon_pipeline.domain.evidence import Provenance
from orgrecon_pipeline.ledger.store import Store
from orgrecon_pipeline.ledger.tables import coverage, observation

_PAGE = 20_000  # events
_EVER = datetime.min.replace(tzinfo=timezone.utc)


def known(store: Store, subject: Subject, *, simulated: bool) -> Iterator[str]:
    """Names whose latest event but for losses is that they appeared.

    Read in pages, each in a transaction of its own: whoever is slow to go through them, or stops, or appends in
    between, holds nothing up.
    """
    of_the_demo = observation.c.provenance == Provenance.SIMULATED.value
    # Ordered by name alone, which the index gives: a page costs a page, and not a sort of all that is left.
    statement = select(
        coverage.c.name, coverage.c.happening, observation.c.observed_at, observation.c.number, coverage.c.ordinal
    ).join(observation, observation.c.number == coverage.c.observation).where(
        coverage.c.subject == subject.value, coverage.c.happening != Happening.LOST.value,
        of_the_demo if simulated else ~of_the_demo,
    ).order_by(coverage.c.name)
    after, size = None, _PAGE
    while True:
        page = statement if after is None else statement.where(coverage.c.name > after)
        with store.reading() as connection:
            events: list[Any] = list(connection.execute(page.limit(size)))
        full = len(events) == size
        latest = {name: max(of_name, key=_when).happening for name, of_name in groupby(events, key=lambda e: e.name)}
        if full:
            # The last name may have more events than fit.
            del latest[events[-1].name]
            if not latest:
                size *= 2
                continue
        yield from (name for name, happening in latest.items() if happening == Happening.APPEARED.value)
        if not full:
            return
        after, size = list(latest)[-1], _PAGE


def _when(event: Any) -> tuple[datetime, int, int]:
    return event.observed_at or _EVER, event.number, event.ordinal


def lost(store: Store, observation_id: str) -> list[CoverageEvent]:
    """What an observation found lost."""
    statement = select(coverage.c.subject, coverage.c.name).join(
        observation, observation.c.number == coverage.c.observation
    ).where(observation.c.id == observation_id, coverage.c.happening == Happening.LOST.value).order_by(
        coverage.c.ordinal)
    with store.reading() as connection:
        return [CoverageEvent(Subject(row.subject), row.name, Happening.LOST) for row in connection.execute(statement)]
