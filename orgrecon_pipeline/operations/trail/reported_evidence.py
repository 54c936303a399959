"""Comparison of the observations that a report shows with those that a ledger stores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from orgrecon_pipeline.domain.evidence import Observation
from orgrecon_pipeline.domain.gate.day_decision import conditions_of
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.report.outline import ReportOutline

Report = TypeVar("Report", Record, ReportOutline)

# Reasons and coverage contain names of tenants, which can be redacted later, and sentences, which can be reworded.
_FACTS = ("verdict", "provenance", "observed_at", "reason_code", "tenants_scanned", "tenants_with_drift", "entities",
          "mapping_digest", "orgrecon_version")


def shows_unknown_evidence(record: Record, ledger: Ledger) -> bool:
    """Return whether a record has observations that the ledger does not have."""
    return bool(with_unknown_evidence([record], ledger))


def with_unknown_evidence(reports: Sequence[Report], ledger: Ledger) -> list[Report]:
    """Return the records or outlines that have observations which the ledger does not have."""
    if not reports:
        return []
    days = [report.day for report in reports]
    known = ledger.observation_ids(max(days), since=min(days))
    return [report for report in reports
            if not {row.id for row in report.observations}.issubset(known.get(report.day, ()))]


def contradictions(report: str, reported: Iterable[Observation], stored: Iterable[Observation]) -> Iterator[str]:
    """Yield a sentence for each contradiction between the observations in a report and those in a ledger.

    Everything that decides the day and the gate is compared. A record can be edited and its digest computed again;
    only the ledger shows that. Baselines may be missing, because they are the same in every ledger.

    Args:
        report: the name of the report's file.
        reported: its observations.
        stored: the observations of the same day in the ledger.
    """
    by_id = {observation.id: observation for observation in stored}
    for observation in reported:
        own = by_id.get(observation.id)
        if own is not None:
            theirs, ours = _facts(observation), _facts(own)
            differing = [name for name in ours if theirs[name] != ours[name]]
            if differing:
                yield (f"{report} shows observation {observation.id} with another {', '.join(differing)} than this "
                       "ledger stores: one of them was edited. If the chain has no finding, it was the report: restore "
                       "it from version control.")
        elif observation.provenance.compared:
            yield (f"{report} shows observation {observation.id[:40]!a}, which this ledger does not have: the report "
                   "was edited, or belongs to another ledger; find out where it comes from.")


def _facts(observation: Observation) -> dict[str, Any]:
    conditions = conditions_of(observation.compared)
    coverage = conditions.pop("coverage", {})
    return {
        **{name: getattr(observation, name) for name in _FACTS}, "conditions": conditions,
        "acknowledgement": bool(coverage.get("acknowledged")), "departures": coverage.get("left_count", 0)}
