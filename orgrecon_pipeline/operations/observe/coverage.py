"""Coverage check: whether a comparison still has every tenant, entity and column that it should have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from orgrecon_pipeline.compare.result import Comparison
from orgrecon_pipeline.domain.canonical import MAX_NAME, bounded_name
from orgrecon_pipeline.domain.coverage import NAMED_IN_RECORD, CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.days import utc_day
from orgrecon_pipeline.domain.evidence import EntityTotals, Provenance
from orgrecon_pipeline.domain.reasons import Reason, coverage_lost, never_seen, too_many_departures
from orgrecon_pipeline.domain.tenant_names import TenantNames
from orgrecon_pipeline.ledger.ledger import Ledger

# How many subjects the reason names.
_NAMED_IN_REASON = 5
# One tenant of a small company may always leave.
_MIN_DEPARTURES = 2

# A kind of subject, and a name.
_Subject = tuple[CoverageSubject, str]

TENANT, ENTITY, COLUMN = CoverageSubject.TENANT, CoverageSubject.ENTITY, CoverageSubject.COLUMN


@dataclass(frozen=True)
class Departures:
    """Tenants without rows that also left the declared universe, and whether they may.

    Attributes:
        names: the tenants that left since the latest observation.
        earlier: how many left on the same day before.
        known: how many tenants were known at the start of the day.
        limit: the share of ``known`` that may leave in one day without an acknowledgement.
    """

    names: tuple[str, ...]
    earlier: int
    known: int
    limit: float

    @property
    def total(self) -> int:
        """Number of tenants that left on this day."""
        return len(self.names) + self.earlier

    @property
    def too_many(self) -> bool:
        """Whether they need an acknowledgement."""
        return bool(self.names) and self.total >= _MIN_DEPARTURES and self.total / self.known > self.limit


@dataclass(frozen=True)
class Coverage:
    """Changes of coverage since the earlier observations.

    Attributes:
        lost: known subjects without rows or values, neither explained nor acknowledged.
        never_seen: entities without rows and columns without values that the ledger does not know either.
        departures: tenants that left.
        acknowledged: subjects whose absence was acknowledged.
        appeared: names that the ledger does not know yet.
        until: the time of a restored database.
    """

    lost: tuple[CoverageEvent, ...]
    never_seen: tuple[CoverageEvent, ...]
    departures: Departures
    acknowledged: tuple[CoverageEvent, ...]
    appeared: dict[CoverageSubject, TenantNames]
    until: datetime | None = None

    def __iter__(self) -> Iterator[CoverageEvent]:
        """Yield the events to store, lazily: on the first day there can be a million."""
        yield from self.lost
        yield from self.never_seen
        if self.departures.too_many:
            yield from _events(TENANT, self.departures.names, CoverageChange.LOST)
        if self.until is None:
            yield from self.acknowledged
            if not self.lost and not self.departures.too_many:
                # Otherwise the universe may have been emptied together with the tables.
                yield from _events(TENANT, self.departures.names, CoverageChange.DEPARTED)
        for subject, names in self.appeared.items():
            yield from _events(subject, names, CoverageChange.APPEARED)

    @property
    def reason(self) -> Reason | None:
        """What must be acknowledged, as a reason; None if there is nothing."""
        day = utc_day(self.until) if self.until else None
        if self.lost:
            return coverage_lost(_quoted(self.lost), len(self.lost), day)
        if self.departures.too_many:
            named = _quoted(_events(TENANT, self.departures.names[:_NAMED_IN_REASON], CoverageChange.LOST))
            return too_many_departures(named, self.departures.total, self.departures.known, self.departures.limit, day)
        if self.never_seen:
            return never_seen(_quoted(self.never_seen), len(self.never_seen), day)
        return None

    def facts(self) -> dict[str, Any]:
        """Return the coverage facts of the record."""
        return {
            "lost": _named(self.lost), "lost_count": len(self.lost),
            "never_seen": _named(self.never_seen), "never_seen_count": len(self.never_seen),
            "left": list(self.departures.names[:NAMED_IN_RECORD]), "left_count": len(self.departures.names),
            "left_too_many": self.departures.too_many,
            "acknowledged": _named(self.acknowledged), "renamed": list(self._renamed())[:NAMED_IN_RECORD],
        }

    def _renamed(self) -> Iterator[list[str]]:
        """Yield ``[gone, new]`` for tenants that differ only in case or in white space around them."""
        gone = [event.name for event in (*self.lost, *self.acknowledged) if event.subject is TENANT]
        gone += self.departures.names
        if gone:
            new = {_folded(name): name for name in self.appeared[TENANT]}
            yield from ([name, new[_folded(name)]] for name in sorted(gone) if _folded(name) in new)


def check_coverage(
    ledger: Ledger, comparison: Comparison, provenance: Provenance, day: date, *, max_departures: float,
    until: datetime | None = None,
) -> Coverage:
    """Check a comparison of a day against all names that the ledger knows, and for what was never seen.

    Each shard has its own entities too (``eu1.org_units``), so that rows of other shards do not hide a loss. Simulated
    evidence has a separate history.

    Args:
        max_departures: the share of the known tenants that may leave in one day without an acknowledgement.
        until: for a restored database, its time: only names known then, and absences acknowledged since the latest
            comparison up to then, apply. Nothing departs that may exist again today.
    """
    acknowledged = _acknowledged(ledger, provenance, until)
    declared = _trusted_universe(comparison)
    simulated = provenance is Provenance.SIMULATED
    present, comparable = _present(comparison), _comparable(comparison)
    lost: list[_Subject] = []
    excused: list[_Subject] = []
    absent: list[_Subject] = []
    left: list[str] = []
    appeared, tenants_known = {}, 0
    for subject, now in present.items():
        gone: list[str] = []
        known = ledger.known_names(subject, simulated=simulated, until=until)
        appeared[subject] = TenantNames.ascending(_new_names(known, now, gone))
        for name in gone:
            if subject is TENANT and declared is not None and name not in declared:
                left.append(name)
            elif subject is TENANT or name in comparable[subject]:
                (excused if (subject, name) in acknowledged else lost).append((subject, name))
        if subject is TENANT:
            tenants_known = len(gone) + len(now) - len(appeared[TENANT])
        elif present[ENTITY]:  # otherwise nothing was compared, which no acknowledgement makes a PASS
            expected = _expected(comparison, subject, comparable[subject])
            explained = {*gone, *ledger.departed_names(subject, simulated=simulated, until=until)}
            absent += [(subject, name) for name in sorted(expected - explained) if name not in now]
    earlier = 0 if until else _earlier_departures(ledger, day, provenance)
    departures = Departures(tuple(left), earlier, tenants_known + earlier, max_departures)
    if departures.too_many:
        excused += [(TENANT, name) for name in left if (TENANT, name) in acknowledged]
        departures = replace(departures, names=tuple(name for name in left if (TENANT, name) not in acknowledged))
    excused += [absence for absence in absent if absence in acknowledged]
    return Coverage(
        lost=tuple(CoverageEvent(*absence, CoverageChange.LOST) for absence in lost),
        never_seen=tuple(
            CoverageEvent(*absence, CoverageChange.LOST) for absence in absent if absence not in acknowledged),
        departures=departures,
        acknowledged=tuple(CoverageEvent(*absence, CoverageChange.DEPARTED) for absence in excused),
        appeared=appeared, until=until)


def _present(comparison: Comparison) -> dict[CoverageSubject, TenantNames]:
    """Return the names with rows or values, the widest subject first, because the reason names only a few."""
    columns = (f"{name}.{column}" for name, counts in comparison.values.items() for column, n in counts.items() if n)
    return {
        ENTITY: TenantNames.of(name for name, totals in _entities(comparison).items() if totals.rows),
        TENANT: _bounded(comparison.present),
        COLUMN: TenantNames.of(columns),
    }


def _entities(comparison: Comparison) -> dict[str, EntityTotals]:
    """Return the totals of each entity, over all shards and in each shard."""
    return {**comparison.totals, **{
        f"{shard}.{name}": totals for shard, part in comparison.shards.items() for name, totals in part.totals.items()}}


def _comparable(comparison: Comparison) -> dict[CoverageSubject, set[str]]:
    """Return the entities and columns that can have rows or values under this mapping."""
    # A column without values is a separate loss only if its entity still has rows.
    columns = {f"{name}.{column}" for name, values in comparison.values.items() if comparison.totals[name].rows
               for column in values}
    return {ENTITY: set(_entities(comparison)), COLUMN: columns}


def _expected(comparison: Comparison, subject: CoverageSubject, comparable: set[str]) -> set[str]:
    """Return what should have rows or values; without an entity of a shard if no shard has rows of it."""
    if subject is not ENTITY:
        return comparable
    of_no_shard = {name for name, totals in comparison.totals.items() if not totals.rows}
    return comparable - {f"{shard}.{name}" for shard in comparison.shards for name in of_no_shard}


def _earlier_departures(ledger: Ledger, day: date, provenance: Provenance) -> int:
    """Return how many tenants left on a day so far, without those whose departure was acknowledged."""
    facts = [observation.compared.get("coverage", {}) for observation in ledger.observations(day)
             if observation.provenance is provenance and observation.tenants_scanned is not None]
    return sum(of_observation.get("left_count", 0) for of_observation in facts
               if not of_observation.get("lost_count") and not of_observation.get("left_too_many"))


def _events(subject: CoverageSubject, names: Iterable[str], change: CoverageChange) -> Iterator[CoverageEvent]:
    return (CoverageEvent(subject, name, change) for name in names)


def _quoted(events: Iterable[CoverageEvent]) -> list[str]:
    return [f"{event.subject.value} {event.name!a}" for event in events][:_NAMED_IN_REASON]


def _named(events: tuple[CoverageEvent, ...]) -> list[str]:
    return [f"{event.subject.value} {event.name}" for event in events[:NAMED_IN_RECORD]]


def _folded(name: str) -> str:
    return name.strip().casefold()


def _trusted_universe(comparison: Comparison) -> TenantNames | None:
    """Return the declared tenants; None if their absence from the universe does not prove that tenants left.

    A universe without any of the present tenants was emptied or has another kind of id. If that holds for one shard,
    no universe is trusted, because the ledger does not know in which shard a tenant was.
    """
    parts = comparison.shards.values() or (comparison,)
    if comparison.declared is None or not all(
        part.declared is not None and any(name in part.declared for name in part.present) for part in parts
    ):
        return None
    return _bounded(comparison.declared)


def _new_names(known: Iterator[str], now: TenantNames, gone: list[str]) -> Iterator[str]:
    """Yield the names of ``now`` that are not known, and append the known ones that ``now`` lacks; all are sorted."""
    earlier = next(known, None)
    for name in now:
        while earlier is not None and earlier < name:
            gone.append(earlier)
            earlier = next(known, None)
        if name == earlier:
            earlier = next(known, None)
        else:
            yield name
    if earlier is not None:
        gone += [earlier, *known]


def _bounded(names: TenantNames) -> TenantNames:
    # Up to a million names: do not copy the set if every name is short enough.
    return names if names.longest <= MAX_NAME else TenantNames.of(map(bounded_name, names))


def _acknowledged(ledger: Ledger, provenance: Provenance, until: datetime | None) -> set[_Subject]:
    """Return whose absence the latest complete comparison reported and was acknowledged since."""
    if until is None:
        candidates = [ledger.latest((provenance,), completed_only=True)]
    else:
        # Later comparisons do not apply. A database can be restored to the same time more than once.
        provenances = (provenance, Provenance.LIVE) if provenance is Provenance.RESTORED else (provenance,)
        candidates = [ledger.latest(provenances, completed_only=True, until=until)]
        candidates += [observation for observation in ledger.observations(utc_day(until))
                       if observation.provenance is provenance and observation.observed_at == until]
    accepted = {acknowledgement.observation_id for acknowledgement in ledger.acknowledgements("coverage")}
    return {(event.subject, event.name)
            for observation in candidates if observation and observation.id in accepted
            for event in ledger.lost_coverage(observation.id)}
