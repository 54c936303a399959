"""Earlier evidence from which an outdated report was rendered.

Evidence only grows: days get more observations, and comparisons replace baselines. So a report that was right when it
was rendered follows exactly from *earlier versions* of the days that the trail shows now. This module rebuilds these
versions from the claims of the report. A report that follows from none of them is unsound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import islice, product
from typing import Any

from orgrecon_pipeline.domain.drift.kinds import Counts
from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.gate.decision import DayEvidence, WindowRow
from orgrecon_pipeline.report.outline import ObservationOutline, ReportOutline

# Provenances whose time is that of a clock. A restored database shows the moment to which it was restored.
_TIMED = (Provenance.LIVE, Provenance.SIMULATED)

# Versions of a day with the same figures are rare.
_MOST_COMBINATIONS = 256


#: The evidence of a day that was known; None if the day had no known evidence.
Version = DayEvidence | None


def figures(day: WindowRow | DayEvidence | None) -> tuple[Any, ...]:
    """Return the figures that a row of a window shows of a day; None is a day without evidence."""
    if day is None:
        return Verdict.MISSING, None, Counts.unknown(), None, None
    return day.verdict, day.provenance, day.counts, day.new, day.healed


def earlier_evidence(
    report: ReportOutline, reports: Mapping[date, ReportOutline]
) -> Iterator[dict[date, DayEvidence]]:
    """Yield each combination of evidence that a report may have been rendered from; nothing if there is none.

    Args:
        report: the report, which contradicts the current evidence.
        reports: all reports of the trail. Later days than the report's are ignored.
    """
    gate, certain = report.gate, _known_for_certain(report)
    windows = {row.day: row for row in gate.window}
    no_tenant_until = _no_tenant_until(gate.window)
    broken = gate.day - timedelta(days=gate.streak_days)
    choices: dict[date, list[Version]] = {}
    for day, of_day in reports.items():
        if day > gate.day:
            continue
        versions: list[Version] = [of_day.evidence]
        if day < gate.day:
            versions = _versions(day, of_day.observations, certain)
        if row := windows.get(day):
            versions = [v for v in versions if figures(row) == figures(v and v.under(gate.policy))]
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


def _known_for_certain(report: ReportOutline) -> dict[str, datetime]:
    """Return when each ledger stored its last observation of the report's day. It knew everything stored before."""
    known: dict[str, datetime] = {}
    for observation in report.observations:
        if observation.ledger and observation.observed_at and observation.provenance in _TIMED:
            moment = observation.observed_at
            known[observation.ledger] = max(moment, known.get(observation.ledger, moment))
    return known


def _versions(day: date, observations: Sequence[ObservationOutline], certain: Mapping[str, datetime]) -> list[Version]:
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


def _no_tenant_until(window: Sequence[WindowRow]) -> date:
    """Return the last day up to which a report knew no tenant, according to its window."""
    since = [row.reason.parameters["first_tenant_day"] for row in window
             if "first_tenant_day" in row.reason.parameters]
    if since:
        return date.fromisoformat(min(since)) - timedelta(days=1)
    return max((row.day for row in window if row.eligible and row.provenance is Provenance.BASELINE), default=date.min)
