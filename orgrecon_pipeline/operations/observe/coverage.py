"""Coverage check: whether a comparison still has every tenant, entity and column that earlier observations saw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orgrecon_pipeline.compare.result import Comparison
from orgrecon_pipeline.domain.canonical import MAX_NAME, bounded_name
from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.days import utc_day
from orgrecon_pipeline.domain.evidence import Provenance
from orgrecon_pipeline.domain.reasons import Reason, coverage_lost
from orgrecon_pipeline.domain.tenant_names import TenantNames
from orgrecon_pipeline.ledger.ledger import Ledger

# How many losses the reason names, and how many of each list the record names.
_NAMED_IN_REASON, _NAMED_IN_RECORD = 5, 100


@dataclass(frozen=True)
class Coverage:
    """Changes of coverage since the earlier observations.

    Attributes:
        lost: subjects without rows or values that are neither explained nor acknowledged.
        left: tenants without rows that also left the declared universe.
        acknowledged: subjects without rows or values whose loss was acknowledged.
        departed: subjects that the ledger must stop expecting; without ``left`` if anything is lost.
        appeared: names that the ledger does not know yet.
        until: the time of a restored database.
    """

    lost: tuple[CoverageEvent, ...]
    left: tuple[str, ...]
    acknowledged: tuple[str, ...]
    departed: tuple[CoverageEvent, ...]
    appeared: dict[CoverageSubject, TenantNames]
    until: datetime | None = None

    def events(self) -> Iterator[CoverageEvent]:
        """Yield the events to store, lazily: on the first day there can be a million."""
        yield from self.lost
        if self.until is None:
            yield from self.departed
        for subject, names in self.appeared.items():
            for name in names:
                yield CoverageEvent(subject, name, CoverageChange.APPEARED)

    @property
    def reason(self) -> Reason | None:
        """What was lost, as a reason; None if nothing was."""
        if not self.lost:
            return None
        named = [f"{event.subject.value} {event.name!a}" for event in self.lost[:_NAMED_IN_REASON]]
        return coverage_lost(named, len(self.lost), utc_day(self.until) if self.until else None)

    def facts(self) -> dict[str, Any]:
        """Return the coverage facts of the record."""
        return {
            "lost": [f"{event.subject.value} {event.name}" for event in self.lost[:_NAMED_IN_RECORD]],
            "lost_count": len(self.lost),
            "left": list(self.left[:_NAMED_IN_RECORD]),
            "left_count": len(self.left),
            "acknowledged": list(self.acknowledged[:_NAMED_IN_RECORD]),
        }


def check_coverage(
    ledger: Ledger, comparison: Comparison, provenance: Provenance, until: datetime | None = None
) -> Coverage:
    """Check a comparison against all names that the ledger knows.

    Each shard has its own entities too (``eu1.org_units``), so that rows of other shards do not hide a loss.

    Args:
        ledger: the ledger, which knows the names.
        comparison: the comparison to check.
        provenance: its provenance; simulated evidence has a separate history.
        until: for a restored database, its time: only names known then, and losses acknowledged since the latest
            comparison up to then, apply. Nothing departs that may exist again today.
    """
    acknowledged = _acknowledged(ledger, provenance, until)
    declared = _trusted_universe(comparison)
    tenants = _bounded(comparison.present)
    totals = {**comparison.totals, **{f"{shard}.{name}": of_entity for shard, part in comparison.shards.items()
                                      for name, of_entity in part.totals.items()}}
    entities = {name for name, of_entity in totals.items() if of_entity.source_rows or of_entity.target_rows}
    columns = {f"{name}.{column}" for name, counts in comparison.values.items() for column, n in counts.items() if n}
    comparable = {
        # A column without values is a separate loss only if its entity still has rows.
        CoverageSubject.COLUMN: {f"{name}.{column}" for name, values in comparison.values.items() if name in entities
                         for column in values},
        CoverageSubject.ENTITY: set(totals),
    }
    present = {  # the widest loss first, because the reason names only a few
        CoverageSubject.ENTITY: TenantNames.of(entities),
        CoverageSubject.TENANT: tenants,
        CoverageSubject.COLUMN: TenantNames.of(columns),
    }
    lost, left, excused, departed = [], [], [], []
    appeared = {}
    for subject, now in present.items():
        known = _Known(ledger.known_names(subject, simulated=provenance is Provenance.SIMULATED, until=until))
        appeared[subject] = TenantNames.ascending(known.new(now))
        for name in known.gone:
            if name not in comparable.get(subject, {name}):
                continue
            if subject is CoverageSubject.TENANT and declared is not None and name not in declared:
                left.append(name)
            elif (subject, name) in acknowledged:
                excused.append(f"{subject.value} {name}")
                departed.append(CoverageEvent(subject, name, CoverageChange.DEPARTED))
            else:
                lost.append(CoverageEvent(subject, name, CoverageChange.LOST))
    if not lost:  # otherwise the universe may have been emptied together with the tables
        departed += [CoverageEvent(CoverageSubject.TENANT, name, CoverageChange.DEPARTED) for name in left]
    return Coverage(tuple(lost), tuple(left), tuple(excused), tuple(departed), appeared, until)


def _trusted_universe(comparison: Comparison) -> TenantNames | None:
    """Return the declared tenants; None if their absence from the universe does not prove that tenants left.

    A universe without any of the present tenants was emptied or has another kind of id. If that holds for one shard,
    no universe is trusted, because the ledger does not know in which shard a tenant was.
    """
    parts = comparison.shards.values() or (comparison,)
    if comparison.declared is None or not all(_has_declared_tenant(part) for part in parts):
        return None
    return _bounded(comparison.declared)


def _has_declared_tenant(part: Comparison) -> bool:
    return part.declared is not None and any(name in part.declared for name in part.present)


class _Known:
    """Merge of the ledger's sorted names with the present sorted names, to find new and gone names."""

    def __init__(self, names: Iterator[str]) -> None:
        self._names = names
        self.gone: list[str] = []

    def new(self, now: TenantNames) -> Iterator[str]:
        """Yield the unknown names of ``now``. Once exhausted, ``gone`` has the known names that ``now`` lacks."""
        known = next(self._names, None)
        for name in now:
            while known is not None and known < name:
                self.gone.append(known)
                known = next(self._names, None)
            if name == known:
                known = next(self._names, None)
            else:
                yield name
        if known is not None:
            self.gone += [known, *self._names]


def _bounded(names: TenantNames) -> TenantNames:
    # Up to a million names: do not copy the set if every name is short enough.
    return names if names.longest <= MAX_NAME else TenantNames.of(map(bounded_name, names))


def _acknowledged(ledger: Ledger, provenance: Provenance, until: datetime | None) -> set[tuple[CoverageSubject, str]]:
    """Return what the latest complete comparison lost and was acknowledged since."""
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
