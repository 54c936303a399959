"""The outline of a report: what the other reports of a trail and the gates need of it.

A trail can have thousands of reports, so the records of all of them are never in memory at once.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, TypeVar, cast

from orgrecon_pipeline.domain.drift.kinds import Counts
from orgrecon_pipeline.domain.evidence import Observation
from orgrecon_pipeline.domain.gate.decision import DayEvidence
from orgrecon_pipeline.domain.gate.tenants import TenantObservation
from orgrecon_pipeline.domain.record import GateRecord, Record, WindowDay

# Facts about the deciding comparison, besides its conditions, that the gates of tenants need.
_FACTS_FOR_TENANTS = ("coverage", "keys_in_flux")

Part = TypeVar("Part")


@dataclass(frozen=True)
class ReportOutline:
    """A record without its rows, samples and most facts about the comparison. For the other fields see :class:`Record`.

    Attributes:
        compared: the conditions of the comparison.
        observations: the observations of the day, with only the facts that the gates need.
        deciding: the position of the observation that decides the day.
        tenants: the tenants in the breakdown that have rows.
        listed: the number of all tenants in the breakdown.
        drifting: the drifting keys by kind of each tenant in the breakdown that has some.
    """

    day: date
    ledger: str | None
    window: tuple[WindowDay, ...]
    streak_days: int
    live_days: int
    gate: GateRecord
    compared: Mapping[str, Any]
    observations: tuple[Observation, ...]
    deciding: int
    tenants_scanned: int | None
    tenants_with_drift: int | None
    tenants: tuple[str, ...]
    listed: int
    drifting: Mapping[str, Counts[int]]

    @classmethod
    def of(cls, record: Record) -> ReportOutline:
        """Return the outline of a sound record."""
        deciding = next(at for at, row in enumerate(record.observations) if row.decides)
        compared = record.observations[deciding].compared
        facts = compared | {name: record.compared[name] for name in _FACTS_FOR_TENANTS if name in record.compared}
        observations = [
            observation.model_copy(update={
                "compared": facts if at == deciding else observation.compared,
                "change": observation.change and observation.change.without_entities()})
            for at, observation in enumerate(record.to_observations())]
        drifting: dict[str, list[Counts[int]]] = {}
        for row in record.tenants:
            if row.drift:
                drifting.setdefault(sys.intern(row.tenant), []).append(row.counts)
        with_rows = dict.fromkeys([row.tenant for row in record.tenants if row.source_rows or row.target_rows])
        return cls(
            day=record.day, ledger=record.ledger, window=record.window, streak_days=record.streak_days,
            live_days=record.live_days, gate=record.gate, compared=compared, observations=tuple(observations),
            deciding=deciding, tenants_scanned=record.tenants_scanned, tenants_with_drift=record.tenants_with_drift,
            tenants=tuple(map(sys.intern, with_rows)),  # most tenants are in every report
            listed=len({row.tenant for row in record.tenants}),
            drifting={tenant: Counts.sum(of_tenant) for tenant, of_tenant in drifting.items()})

    def sharing(self, known: dict[Hashable, Any]) -> ReportOutline:
        """Return the outline with each part that equals a part of an earlier report replaced by that part.

        ``known`` holds the latest parts by name. Most reports have the tenants of the day before, and windows overlap.
        """

        def shared(name: Hashable, part: Part) -> Part:
            if known.get(name) != part:
                known[name] = part
            return cast("Part", known[name])

        def with_shared_facts(at: int, observation: Observation) -> Observation:
            facts = {name: shared((name, at), fact) for name, fact in observation.compared.items()}
            return observation.model_copy(update={"compared": facts})

        return replace(
            self, window=tuple(shared(row.day, row) for row in self.window), tenants=shared("tenants", self.tenants),
            drifting=shared("drifting", self.drifting), compared=shared("compared", self.compared),
            observations=tuple(with_shared_facts(at, row) for at, row in enumerate(self.observations)))

    def to_observations(self) -> tuple[Observation, ...]:
        """Return the observations of the day in the order of the ledger."""
        return self.observations

    def to_evidence(self) -> DayEvidence:
        """Return the evidence of the day for the gate."""
        return DayEvidence.of(self.day, self.observations)

    def about_tenants(self) -> list[TenantObservation]:
        """Return the observations with their drifting tenants, which a report lists only for the deciding one."""
        return [
            TenantObservation.of_rows(observation, self.drifting, self.tenants_with_drift) if at == self.deciding
            else TenantObservation(observation, complete=False)
            for at, observation in enumerate(self.observations)]
