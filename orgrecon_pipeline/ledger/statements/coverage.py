"""Queries on the coverage history of a ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import Select, select

from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.evidence import Provenance
from orgrecon_pipeline.domain.gate.tenants import Presence
from orgrecon_pipeline.ledger.connection.engine import Store
from orgrecon_pipeline.ledger.connection.retry import retried
from orgrecon_pipeline.ledger.tables import coverage

_PAGE = 20_000  # events


class CoverageReader(Store):
    """The methods of a ledger that read coverage."""

    def known_names(
        self, subject: CoverageSubject, *, simulated: bool = False, until: datetime | None = None
    ) -> Iterator[str]:
        """Yield the names that appeared and have not departed since, in order of their UTF-8 bytes.

        Events are ordered by the time of their observation, so a ledger that was rebuilt in another order gives the
        same names. Names are read in pages, each in its own transaction, so a slow caller does not block writers.
        Events that are appended during the iteration are ignored.

        ``simulated`` reads the history of simulated observations instead of that of all others; ``until`` ignores
        observations made after this moment.
        """
        for name, changes in self._histories(subject, self._ranks(simulated=simulated, until=until)):
            if changes[-1].change == CoverageChange.APPEARED.value:
                yield name

    def tenant_presences(
        self, *, simulated: bool = False, name: str | None = None
    ) -> Iterator[tuple[str, Presence]]:
        """Yield the tenants that were ever compared, or the one with this ``name``, with arrivals and departures.

        They are ordered as by :meth:`known_names`.
        """
        days = self._days_by_number()
        ranks = self._ranks(simulated=simulated, until=None)
        presences: dict[tuple[Any, ...], Presence] = {}
        for tenant, changes in self._histories(CoverageSubject.TENANT, ranks, name):
            history = tuple([(event.observation, event.change) for event in changes])
            if history not in presences:
                presences[history] = Presence.of((days[number], CoverageChange(change)) for number, change in history)
            yield tenant, presences[history]

    def _histories(
        self, subject: CoverageSubject, ranks: dict[int, int], only: str | None = None
    ) -> Iterator[tuple[str, list[Any]]]:
        """Yield each name with its changes, in order of time, as far as their observations have a rank."""
        if not ranks:
            return
        # Sorting by name alone lets the index deliver each page; a page costs neither a sort nor a join.
        statement = select(coverage.c.name, coverage.c.change, coverage.c.observation, coverage.c.ordinal).where(
            coverage.c.subject == subject.value, coverage.c.change != CoverageChange.LOST.value
        ).order_by(coverage.c.name)
        if only is not None:
            statement = statement.where(coverage.c.name == only)
        after, size = None, _PAGE
        while True:
            page = statement if after is None else statement.where(coverage.c.name > after)
            events = self._page(page.limit(size))
            full = len(events) == size
            if full:
                # The last name may have more events on the next page, so leave it to that page.
                last = events[-1].name
                events = [event for event in events if event.name != last]
                if not events:
                    size *= 2
                    continue
            for name, of_name in groupby(events, key=attrgetter("name")):
                if changes := [event for event in of_name if event.observation in ranks]:
                    if len(changes) > 1:
                        changes.sort(key=lambda event: (ranks[event.observation], event.ordinal))
                    yield name, changes
            if not full:
                return
            after, size = events[-1].name, _PAGE

    @retried
    def _page(self, statement: Select[Any]) -> Sequence[Any]:
        with self.reading() as connection:
            return connection.execute(statement).all()

    @retried
    def _days_by_number(self) -> dict[int, date]:
        own = self.own.observation
        with self.reading() as connection:
            return {row.number: row.day for row in connection.execute(select(own.c.number, own.c.day))}

    @retried
    def departed_names(
        self, subject: CoverageSubject, *, simulated: bool = False, until: datetime | None = None
    ) -> set[str]:
        """Return the names that departed, or whose absence was acknowledged, and that have not appeared since.

        Arguments as for :meth:`known_names`. With ``until``, a name without an earlier event counts too if it departs
        first: its absence was acknowledged later, and it never appeared in between. All names are held in memory.
        """
        ranks = self._ranks(simulated=simulated, until=None)
        in_time = ranks.keys() if until is None else self._ranks(simulated=simulated, until=until).keys()
        statement = select(coverage.c.name, coverage.c.change, coverage.c.observation, coverage.c.ordinal).where(
            coverage.c.subject == subject.value, coverage.c.change != CoverageChange.LOST.value)
        with self.reading() as connection:
            events = [event for event in connection.execute(statement) if event.observation in ranks]
        changes: dict[str, str] = {}
        for event in sorted(events, key=lambda event: (ranks[event.observation], event.ordinal)):
            if event.observation in in_time:
                changes[event.name] = event.change
            else:
                changes.setdefault(event.name, event.change)
        return {name for name, change in changes.items() if change == CoverageChange.DEPARTED.value}

    @retried
    def lost_coverage(self, observation_id: str) -> list[CoverageEvent]:
        """Return what an observation reported as lost or never seen, in the order in which it was appended."""
        observation = self.own.observation
        statement = select(coverage.c.subject, coverage.c.name).join(
            observation, observation.c.number == coverage.c.observation
        ).where(observation.c.id == observation_id, coverage.c.change == CoverageChange.LOST.value).order_by(
            coverage.c.ordinal)
        with self.reading() as connection:
            return [CoverageEvent(CoverageSubject(row.subject), row.name, CoverageChange.LOST)
                    for row in connection.execute(statement)]

    @retried
    def _ranks(self, *, simulated: bool, until: datetime | None) -> dict[int, int]:
        """Return the position of each observation in the order of time, by observation number."""
        observation = self.own.observation
        is_simulated = observation.c.provenance == Provenance.SIMULATED.value
        statement = select(observation.c.number).where(is_simulated if simulated else ~is_simulated).order_by(
            observation.c.observed_at.is_not(None), observation.c.observed_at, observation.c.number)
        if until is not None:
            statement = statement.where(observation.c.observed_at <= until)
        with self.reading() as connection:
            return {number: rank for rank, number in enumerate(connection.execute(statement).scalars())}

