"""The drifting keys of an observation, with the day with which they are compared."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from orgrecon_pipeline.domain.drift.change import Decided, previous_decided_day
from orgrecon_pipeline.domain.drift.key import DriftingKey
from orgrecon_pipeline.domain.evidence import Observation, Previous
from orgrecon_pipeline.domain.gate.day_decision import decided_by_own_policy
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.statements.append import NewDrift


def new_drift(ledger: Ledger, observation: Observation, keys: Iterable[DriftingKey]) -> NewDrift:
    """Return the drift of a decided comparison as the ledger appends it."""
    evidence = ledger.evidence(observation.day - timedelta(days=1))
    days: dict[date, Decided] = {day: known.under(known.policy or GatePolicy()) for day, known in evidence.items()}
    since, skipped = previous_decided_day(observation.day, observation, days)
    earlier = decided_by_own_policy(ledger.observations(since)) if since else None
    return NewDrift(keys, Previous(since=since, observation=earlier and earlier.id, skipped=skipped), earlier)
