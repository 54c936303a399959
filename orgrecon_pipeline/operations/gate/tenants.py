"""The tenant gate now: the answer for each tenant of a ledger or a trail, and for a cohort of tenants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple, Protocol

from orgrecon_pipeline.domain.canonical import bounded_name
from orgrecon_pipeline.domain.evidence import Provenance
from orgrecon_pipeline.domain.gate.decision import GateDecision
from orgrecon_pipeline.domain.gate.forecast import Forecast, forecast_of
from orgrecon_pipeline.domain.gate.state import GateState
from orgrecon_pipeline.domain.gate.tenants import (
    ListedPresence,
    Presence,
    TenantObservation,
    TenantPresence,
    evidence_of_tenant,
    exists,
)
from orgrecon_pipeline.domain.reasons import counted
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.gate.current import GateAnswer
from orgrecon_pipeline.operations.gate.sources import GateEvidence
from orgrecon_pipeline.report.outline import ReportOutline


class TenantAnswer(NamedTuple):
    """The gate of one tenant.

    ``drifting_keys`` counts those of the latest decided comparison. ``exists`` is false for a tenant that had left by
    the day of the decision, or had not yet arrived.
    """

    tenant: str
    decision: GateDecision
    drifting_keys: int
    exists: bool = True

    @property
    def open(self) -> bool:
        """Whether the tenant's gate is OPEN."""
        return self.decision.state is GateState.OPEN

    def as_json_value(self) -> dict[str, Any]:
        """Return the answer under its public field names."""
        decision = self.decision
        return {
            "tenant": self.tenant, "state": decision.state.value, "streak_days": decision.streak_days,
            "earliest_open_day": decision.earliest_open_day.isoformat(), "drifting_keys": self.drifting_keys,
            **decision.reason.as_fields()}


@dataclass(frozen=True)
class CohortAnswer:
    """The gate of a cohort, OPEN if that of each of its tenants is, beside the company's gate, which it never changes.
    """

    company: GateAnswer
    tenants: tuple[TenantAnswer, ...]

    @property
    def open(self) -> bool:
        """Whether every tenant's gate is OPEN."""
        return bool(self.tenants) and all(tenant.open for tenant in self.tenants)

    @property
    def reason(self) -> str:
        """How many of the tenants are OPEN, as a sentence without a full stop."""
        return open_share(sum(tenant.open for tenant in self.tenants), len(self.tenants))

    def as_json_value(self) -> dict[str, Any]:
        """Return the company's gate, the ``cohort``, and the list ``tenants``."""
        cohort = {"state": (GateState.OPEN if self.open else GateState.CLOSED).value, "reason": self.reason,
                  "tenants": len(self.tenants), "open": sum(tenant.open for tenant in self.tenants)}
        return {**self.company.as_json_value(), "cohort": cohort, "tenants": [
            {**tenant.as_json_value(), "forecast": forecast and forecast.as_json_value()}
            for tenant in self.tenants for forecast in (self.forecast(tenant),)]}

    def forecast(self, tenant: TenantAnswer) -> Forecast | None:
        """Return what would have to happen until the gate of a tenant opens, None if it is OPEN."""
        return forecast_of(tenant.decision, self.company.mapping_digest)


def open_share(opened: int, total: int) -> str:
    """Return how many of the tenants' gates are OPEN, as a sentence without a full stop."""
    return f"{opened} of {counted(total, 'tenant')} OPEN"


class _Source(Protocol):
    """Where the evidence about tenants comes from."""

    def observations(self) -> Mapping[date, Sequence[TenantObservation]]: ...
    def presences(self) -> Iterator[tuple[str, TenantPresence]]: ...
    def presence(self, tenant: str) -> TenantPresence: ...


class TenantGates:
    """The gates of all tenants at one moment. Tenants with the same history share one decision."""

    def __init__(self, evidence: GateEvidence, since: date = date.min, until: date = date.max) -> None:
        """
        Args:
            evidence: the evidence of the company.
            since: the first day whose drifting tenants are read from a ledger. An earlier FAIL is not clean for any
                tenant.
            until: the last day that is read from a ledger.
        """
        self._evidence = evidence
        self._source: _Source = (
            _LedgerSource(evidence.ledger, since, until, simulated=_simulated(evidence)) if evidence.ledger
            else _TrailSource(evidence.reports))
        self._observations = self._source.observations()
        self._decided: dict[tuple[Any, ...], tuple[GateDecision, bool]] = {}
        self._answers: dict[str, TenantAnswer] = {}
        self._drifted: dict[str, tuple[str, ...]] = {}
        for of_day in self._observations.values():
            for observation in of_day:
                for tenant in observation.drifting:
                    self._drifted[tenant] = (*self._drifted.get(tenant, ()), observation.observed.id)
        decided = [observation for day in sorted(self._observations) for observation in self._observations[day]
                   if observation.observed.verdict.decided]
        self._latest = decided[-1].drifting if decided else {}

    @property
    def company(self) -> GateAnswer:
        """The gate of the whole company."""
        return self._evidence.answer

    def all(self) -> Iterator[TenantAnswer]:
        """Yield the gate of every tenant that was ever compared, ordered by name."""
        return (self._answer(tenant, presence) for tenant, presence in self._source.presences())

    def of(self, tenant: str) -> TenantAnswer:
        """Return the gate of one tenant; an unknown one is CLOSED."""
        name = bounded_name(tenant)
        if name not in self._answers:
            self._answers[name] = self._answer(name, self._source.presence(name))
        return self._answers[name]

    def observation_ids(self) -> dict[date, list[str]]:
        """Return the ids of the observations that were read, of each day in their order."""
        return {day: [observation.observed.id for observation in of_day]
                for day, of_day in self._observations.items()}

    def cohort(self, tenants: Iterable[str]) -> CohortAnswer:
        """Return the gate of some tenants together."""
        return CohortAnswer(self.company, tuple(self.of(tenant) for tenant in dict.fromkeys(tenants)))

    def _answer(self, tenant: str, presence: TenantPresence) -> TenantAnswer:
        history = (presence, self._drifted.get(tenant))
        decided = self._decided.get(history)
        if decided is None:
            days = evidence_of_tenant(tenant, presence, self._observations)
            decision = self._evidence.decide(days).decision
            decided = self._decided[history] = decision, exists(presence, decision.day)
        drifting = self._latest.get(tenant)
        return TenantAnswer(tenant, decided[0], drifting.total if drifting else 0, decided[1])


class _LedgerSource:
    def __init__(self, ledger: Ledger, since: date, until: date, *, simulated: bool) -> None:
        self._ledger, self._since, self._until, self._simulated = ledger, since, until, simulated

    def observations(self) -> Mapping[date, Sequence[TenantObservation]]:
        return self._ledger.tenant_observations(self._since, self._until)

    def presences(self) -> Iterator[tuple[str, TenantPresence]]:
        return self._ledger.tenant_presences(simulated=self._simulated)

    def presence(self, tenant: str) -> TenantPresence:
        known = dict(self._ledger.tenant_presences(simulated=self._simulated, name=tenant))
        return known.get(tenant, Presence())


class _TrailSource:
    """The tenants that reports list. A day whose report leaves out a tenant is not clean for it."""

    def __init__(self, reports: Mapping[date, ReportOutline]) -> None:
        self._reports = reports
        self._listed: dict[str, list[date]] = {}
        for day, report in reports.items():
            for tenant in report.tenants.with_rows if report.tenants else ():
                self._listed.setdefault(tenant, []).append(day)

    def observations(self) -> Mapping[date, Sequence[TenantObservation]]:
        return {day: report.about_tenants() for day, report in self._reports.items()}

    def presences(self) -> Iterator[tuple[str, TenantPresence]]:
        return ((tenant, self.presence(tenant)) for tenant in sorted(self._listed))

    def presence(self, tenant: str) -> TenantPresence:
        return ListedPresence(frozenset(self._listed.get(tenant, ())))


def _simulated(evidence: GateEvidence) -> bool:
    """Return whether the evidence is a demo's; simulated tenants have a history of their own."""
    return bool(evidence.days) and all(day.provenance is Provenance.SIMULATED for day in evidence.days.values())
