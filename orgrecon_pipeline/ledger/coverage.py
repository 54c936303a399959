"""Reading the history of coverage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import select

from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.evidence import Provenance
from orgrecon_pipeline.ledger.engine import Store
from orgrecon_pipeline.ledger.tables import coverage, observation

_PAGE = 20_000  # events


def known(store: Store, subject: CoverageSubject, *, simulated: bool, until: datetime | None = None) -> Iterator[str]:
    """Names whose latest event but for losses is that they appeared, by what the observations made so far say.

    With ``until`` only what was observed up to that moment counts.
    Read in pages, each in a transaction of its own: whoever is slow to go through them, or stops, or appends in
    between, holds nothing up. What is appended in between does not count.
    """
    rank = _ranks(store, simulated=simulated, until=until)
    if not rank:
        return
    # Ordered by name alone, which the index gives: a page costs a page, and not a sort or a join of all that is left.
    statement = select(
        coverage.c.name, coverage.c.happening, coverage.c.observation, coverage.c.ordinal
    ).where(coverage.c.subject == subject.value, coverage.c.happening != CoverageChange.LOST.value).order_by(coverage.c.name)
    after, size = None, _PAGE
    while True:
        page = statement if after is None else statement.where(coverage.c.name > after)
        with store.reading() as connection:
            events = connection.execute(page.limit(size)).all()
        full = len(events) == size
        if full:
            # The last name may have more events than fit: it is left to the next page.
            last = events[-1].name
            events = [event for event in events if event[0] != last]
            if not events:
                size *= 2
                continue
        latest = _latest(events, rank)
        yield from (name for name, happening in latest.items() if happening == CoverageChange.APPEARED.value)
        if not full:
            return
        after, size = events[-1].name, _PAGE


def _ranks(store: Store, *, simulated: bool, until: datetime | None) -> dict[int, int]:
    """Of each observation, by its number: its place in the order in which they were made."""
    of_the_demo = observation.c.provenance == Provenance.SIMULATED.value
    statement = select(observation.c.number).where(of_the_demo if simulated else ~of_the_demo).order_by(
        observation.c.observed_at.is_not(None), observation.c.observed_at, observation.c.number)
    if until is not None:
        statement = statement.where(observation.c.observed_at <= until)
    with store.reading() as connection:
        return {number: at for at, number in enumerate(connection.execute(statement).scalars())}


def _latest(events: Iterable[Any], rank: dict[int, int]) -> dict[str, str]:
    """What happened last to each name, names in the order of the events."""
    latest: dict[str, tuple[tuple[int, int], str]] = {}
    for name, happening, number, ordinal in events:
        at = rank.get(number)
        if at is not None and (name not in latest or latest[name][0] < (at, ordinal)):
            latest[name] = (at, ordinal), happening
    return {name: happening for name, (_, happening) in latest.items()}


def lost(store: Store, observation_id: str) -> list[CoverageEvent]:
    """What an observation found lost."""
    statement = select(coverage.c.subject, coverage.c.name).join(
        observation, observation.c.number == coverage.c.observation
    ).where(observation.c.id == observation_id, coverage.c.happening == CoverageChange.LOST.value).order_by(
        coverage.c.ordinal)
    with store.reading() as connection:
        return [CoverageEvent(CoverageSubject(row.subject), row.name, CoverageChange.LOST) for row in connection.execute(statement)]
