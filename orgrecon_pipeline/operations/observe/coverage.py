"""Whether a comparison still covers what earlier ones saw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orgrecon_pipeline.compare.result import Comparison
from orgrecon_pipeline.domain.bounded_names import MAX_NAME, bounded_name
from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.days import utc_day
from orgrecon_pipeline.domain.evidence import Provenance
from orgrecon_pipeline.domain.tenant_names import TenantNames
from orgrecon_pipeline.ledger.ledger import Ledger

_NAMED = 5


@dataclass(frozen=True)
class Coverage:
    """What changed against the earlier observations.

    ``lost`` holds what is gone and neither explained nor acknowledged; ``left`` the tenants that left the declared
    universe too; ``acknowledged`` what is gone and was acknowledged; ``departed`` and ``appeared`` what the ledger is
    to know of from now on: where something is lost, nobody departs who only left. ``until`` is the moment of a
    restored database.
    """

    lost: tuple[CoverageEvent, ...]
    left: tuple[str, ...]
    acknowledged: tuple[str, ...]
    departed: tuple[CoverageEvent, ...]
    appeared: dict[CoverageSubject, TenantNames]
    until: datetime | None = None

    def events(self) -> Iterator[CoverageEvent]:
        """What the ledger keeps of it; made as it is asked for, as on a first day it can be a million."""
        yield from self.lost
        if self.until is None:
            yield from self.departed
        for subject, names in self.appeared.items():
            for name in names:
                yield CoverageEvent(subject, name, CoverageChange.APPEARED)

    @property
    def reason(self) -> str:
        """One sentence on what was lost; empty when nothing was."""
        if not self.lost:
            return ""
        named = ", ".join(f"{event.subject.value} {event.name!a}" for event in self.lost[:_NAMED])
        more = f" and {len(self.lost) - _NAMED} more" if len(self.lost) > _NAMED else ""
        of_its_day = f" --date {utc_day(self.until)}" if self.until else ""
        return (f"coverage lost: nothing is left on either side of {named}{more}, which an earlier observation saw; "
                f"if that is intended, run orgrecon acknowledge{of_its_day}")

    def facts(self) -> dict[str, Any]:
        """What the record says of it."""
        return {
            "lost": [f"{event.subject.value} {event.name}" for event in self.lost[:100]],
            "lost_count": len(self.lost),
            "left": list(self.left[:100]),
            "left_count": len(self.left),
            "acknowledged": list(self.acknowledged[:100]),
        }


def check_coverage(
    ledger: Ledger, comparison: Comparison, provenance: Provenance, until: datetime | None = None
) -> Coverage:
    """Hold a comparison against everything that the ledger knows to have been there.

    Simulated evidence has a history of its own: a demo never makes a real tenant known, nor misses one. Evidence of
    the past is held against what was known at that moment (``until``), and makes nothing depart that is there by now;
    what is acknowledged is then what the latest comparison up to that moment found lost.

    Of shards each has its own entities too (``eu1.org_units``): the rows of others do not stand in for them.
    """
    acknowledged = _acknowledged(ledger, provenance, until)
    declared = _trusted_universe(comparison)
    there = _bounded(comparison.present)
    totals = {**comparison.totals, **{f"{shard}.{name}": of_entity for shard, part in comparison.shards.items()
                                      for name, of_entity in part.totals.items()}}
    entities = {name for name, of_entity in totals.items() if of_entity.source_rows or of_entity.target_rows}
    columns = {f"{name}.{column}" for name, counts in comparison.values.items() for column, n in counts.items() if n}
    comparable = {
        # A column without a value is a loss of its own only where its entity still has rows.
        CoverageSubject.COLUMN: {f"{name}.{column}" for name, values in comparison.values.items() if name in entities
                         for column in values},
        CoverageSubject.ENTITY: set(totals),
    }
    present = {  # the widest loss first: a reason names few
        CoverageSubject.ENTITY: TenantNames.of(entities),
        CoverageSubject.TENANT: there,
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
    if not lost:  # what emptied other tables may have emptied the universe as well: nobody is known to have left yet
        departed += [CoverageEvent(CoverageSubject.TENANT, name, CoverageChange.DEPARTED) for name in left]
    return Coverage(tuple(lost), tuple(left), tuple(excused), tuple(departed), appeared, until)


def _trusted_universe(comparison: Comparison) -> TenantNames | None:
    """The declared tenants; None where they cannot say that anybody has left.

    A universe that shares nobody with the tenants that are there was emptied, or is of another kind of id. In which
    shard a tenant was is not known: where one of them has such a universe, it may have been that one.
    """
    parts = comparison.shards.values() or (comparison,)
    if comparison.declared is None or not all(_overlap(part) for part in parts):
        return None
    return _bounded(comparison.declared)


def _overlap(part: Comparison) -> bool:
    return part.declared is not None and any(name in part.declared for name in part.present)


class _Known:
    """TenantNames of the ledger, held against those that are there now: both sorted, and gone through in step."""

    def __init__(self, names: Iterator[str]) -> None:
        self._names = names
        self.gone: list[str] = []

    def new(self, now: TenantNames) -> Iterator[str]:
        """Those of ``now`` that are not known; when all were asked for, ``gone`` holds the known ones that it lacks."""
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
    # The same set where every name is short enough: there can be a million.
    return names if names.longest <= MAX_NAME else TenantNames.of(map(bounded_name, names))


def _acknowledged(ledger: Ledger, provenance: Provenance, until: datetime | None) -> set[tuple[CoverageSubject, str]]:
    """What was lost in the latest complete comparison and has been acknowledged since."""
    if until is None:
        found = [ledger.latest((provenance,), completed_only=True)]
    else:
        # Whatever came later than that moment says nothing of it; a database can be restored to it more than once.
        kinds = (provenance, Provenance.LIVE) if provenance is Provenance.RESTORED else (provenance,)
        found = [ledger.latest(kinds, completed_only=True, until=until)]
        found += [seen for seen in ledger.observations(utc_day(until))
                  if seen.provenance is provenance and seen.observed_at == until]
    accepted = {acknowledgement.observation_id for acknowledgement in ledger.acknowledgements("coverage")}
    return {(event.subject, event.name)
            for seen in found if seen and seen.id in accepted for event in ledger.lost_coverage(seen.id)}
