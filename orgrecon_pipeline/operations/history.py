"""The history of a migration: the verdict, drift and provenance of each day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from orgrecon_pipeline.domain.days import days_between, utc_day
from orgrecon_pipeline.domain.drift.kinds import Counts
from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.operations.gate.sources import GateEvidence


@dataclass(frozen=True)
class DayOutcome:
    """One day. A MISSING day has no provenance, and its counts are unknown."""

    day: date
    verdict: Verdict
    provenance: Provenance | None
    counts: Counts[int | None]
    reason: str

    @property
    def drifting_keys(self) -> int | None:
        """Drifting keys of all kinds, None if they are not known."""
        return self.counts.total

    def as_json_value(self) -> dict[str, Any]:
        """Return the day under its public field names."""
        return {"day": self.day.isoformat(), "verdict": self.verdict.value,
                "provenance": self.provenance.value if self.provenance else None, **self.counts, "reason": self.reason}


@dataclass(frozen=True)
class History:
    """Consecutive days of one migration, oldest first."""

    identity: Identity
    days: tuple[DayOutcome, ...]

    def as_json_value(self) -> dict[str, Any]:
        """Return the history as JSON values."""
        return {**self.identity.as_json_value(), "days": [day.as_json_value() for day in self.days]}


def history_of(evidence: GateEvidence, length: int | None) -> History:
    """Return the last ``length`` days up to today, or (None) all days since the first that has evidence."""
    today = utc_day(evidence.now)
    first = today - timedelta(days=length - 1) if length else min([*evidence.days, today])
    return History(evidence.identity, tuple(
        _outcome(day, evidence) for day in days_between(first, max([*evidence.days, today]))))


def _outcome(day: date, evidence: GateEvidence) -> DayOutcome:
    if day not in evidence.days:
        return DayOutcome(day, Verdict.MISSING, None, Counts.unknown(), "no report")
    decided = evidence.days[day].under(evidence.policy)
    return DayOutcome(day, decided.verdict, decided.provenance, decided.counts, decided.reason.sentence)
