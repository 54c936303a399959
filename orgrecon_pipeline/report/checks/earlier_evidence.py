"""Earlier evidence from which an outdated report was rendered.

Evidence only grows: days get more observations, and comparisons replace baselines. So a report that was right when it
was rendered follows exactly from *earlier versions* of the days that the trail shows now. This module rebuilds these
versions from the claims of the report. A report that follows from none of them is unsound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import islice, product
from typing import Any, Protocol

from orgrecon_pipeline.domain.drift.kinds import Counts
from orgrecon_pipeline.domain.evidence import Observation, Provenance, Verdict
from orgrecon_pipeline.domain.gate.decision import DayEvidence
from orgrecon_pipeline.domain.record import GateRecord, WindowDay

# Provenances whose time is that of a clock. A restored database shows the moment to which it was restored.
_TIMED = (Provenance.LIVE, Provenance.SIMULATED)

# Versions of a day with the same figures are rare.
_MOST_COMBINATIONS = 256


class Report(Protocol):
    """The part of a record that these checks need."""

    @property
    def day(self) -> date: ...
    @property
    def window(self) -> tuple[WindowDay, ...]: ...
    @property
    def streak_days(self) -> int: ...
    @property
    def live_days(self) -> int: ...
    @property
    def gate(self) -> GateRecord: ...
    @property
    def compared(self) -> Mapping[str, Any]: ...
    def to_observations(self) -> Sequence[Observation]: ...


#: The evidence of a day that was known; None if the day had no known evidence.
Version = DayEvidence | None


def figures(day: WindowDay | DayEvidence | None) -> tuple[Any, ...]:
    """Return the figures that a row of a window shows of a day; None is a day without evidence."""
    if day is None:
        return Verdict.MISSING, None, Counts.unknown(), None, None
    return day.verdict, day.provenance, day.counts, day.new, day.healed


def earlier_evidence(
    record: Report, observations: Mapping[date, Sequence[Observation]]
) -> Iterator[dict[date, DayEvidence]]:
    """Yield each combination of evidence that the report may have been rendered from; nothing if there is none.

    Args:
        record: the report, which contradicts the current evidence.
        observations: those of every day that has a report. Days after that of ``record`` are ignored.
    """
    certain = _known_for_certain(record)
    windows = {row.day: row for row in record.window}
    no_tenant_until = _no_tenant_until(record)
    broken = record.day - timedelta(days=record.streak_days)
    choices: dict[date, list[Version]] = {}
    for day, of_day in observations.items():
        if day > record.day:
            continue
        versions: list[Version] = [DayEvidence.of(day, of_day)]
        if day < record.day:
            versions = _versions(day, of_day, certain)
        if row := windows.get(day):
            versions = [v for v in versions if figures(row) == figures(v and v.under(record.gate.policy))]
        elif broken < day:
            versions = [version for version in versions if version and version.verdict is Verdict.PASS]
        if day <= no_tenant_until:
            versions = [version for version in versions if version is None or not version.saw_a_tenant]
        if not versions:
            return
        # For a day before the window, the report shows only whether it broke the streak.
        choices[day] = versions if day in windows or day == broken else versions[:1]
    for chosen in islice(product(*choices.values()), _MOST_COMBINATIONS):
        yield {day: version for day, version in zip(choices, chosen, strict=True) if version is not None}


def _known_for_certain(record: Report) -> dict[str, datetime]:
    """Return when each ledger stored its last observation of the report's day. It knew everything stored before."""
    known: dict[str, datetime] = {}
    for observation in record.to_observations():
        if observation.ledger and observation.observed_at and observation.provenance in _TIMED:
            moment = observation.observed_at
            known[observation.ledger] = max(moment, known.get(observation.ledger, moment))
    return known


def _versions(day: date, observations: Sequence[Observation], certain: Mapping[str, datetime]) -> list[Version]:
    """Return the different versions of the day that can have been known, the latest first."""
    versions: list[Version] = []
    required = {o.id for o in observations if o.provenance in _TIMED and o.observed_at and o.ledger in certain
                and o.observed_at <= certain[o.ledger or ""]}
    ledgers = dict.fromkeys(o.ledger for o in observations)
    of_ledgers = [[o for o in observations if o.ledger == ledger] for ledger in ledgers] if len(ledgers) > 1 else []
    for group in [observations, *of_ledgers]:
        for length in range(len(group), 0, -1):
            if required <= {o.id for o in group[:length]}:
                versions.append(DayEvidence.of(day, group[:length]))
    if not required and all(o.provenance.compared for o in observations):
        # A report of a comparison replaces the baseline without listing it.
        versions.append(DayEvidence(
            day=day, verdict=Verdict.PASS, provenance=Provenance.BASELINE, mapping_digest="", saw_a_tenant=False))
    if not required:
        versions.append(None)
    return [version for at, version in enumerate(versions) if version not in versions[:at]]


def _no_tenant_until(record: Report) -> date:
    """Return the last day up to which the report knew no tenant, according to its window."""
    since = [str(row.reason_parameters["first_tenant_day"]) for row in record.window
             if "first_tenant_day" in row.reason_parameters]
    if since:
        return date.fromisoformat(min(since)) - timedelta(days=1)
    return max((row.day for row in record.window if row.eligible and row.provenance is Provenance.BASELINE),
               default=date.min)
