"""The tenant gates as of the day of an observation, for its record."""

from __future__ import annotations

from datetime import timedelta

from orgrecon_pipeline.domain.days import midnight
from orgrecon_pipeline.domain.evidence import Observation
from orgrecon_pipeline.domain.gate.day_decision import gate_policy_of
from orgrecon_pipeline.domain.gate.decision import GateDecision
from orgrecon_pipeline.domain.gate.ready_tenants import (
    LISTED_TENANTS,
    DriftingTenant,
    ReadyTenants,
    WaitingTenant,
    evidence_digest,
)
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.gate.sources import GateEvidence
from orgrecon_pipeline.operations.gate.tenant_summary import TenantSummary
from orgrecon_pipeline.operations.gate.tenants import TenantGates


def ready_tenants_as_of(ledger: Ledger, deciding: Observation, company: GateDecision) -> ReadyTenants | None:
    """Return the tenant gates as of the day of its deciding observation, None if there is no tenant.

    Figures that are stored for exactly this evidence are used first. After an import, these are the figures of the
    report, whose ledger knew every tenant.

    Args:
        ledger: the ledger of the observation.
        deciding: the observation that decides the day.
        company: the gate of the whole company as of the day.
    """
    if not deciding.provenance.compared:
        return None  # a baseline compares no tenant, and its record depends on nothing but its day
    evidence = evidence_digest(ledger.observation_ids(deciding.day))
    return ledger.ready_tenants(deciding.id, evidence) or _compute(ledger, deciding, company)


def _compute(ledger: Ledger, deciding: Observation, company: GateDecision) -> ReadyTenants | None:
    day, window = deciding.day, company.window_days
    evidence = GateEvidence(
        ledger.identity, ledger, {}, ledger.evidence(day), gate_policy_of(deciding.compared) or GatePolicy(),
        now=midnight(day), mapping_digest=None, day=day)
    gates = TenantGates(evidence, since=day - timedelta(days=window - 1), until=day)
    summary = TenantSummary.of(gates, LISTED_TENANTS)
    tenants = summary.total
    if deciding.ledger != ledger.id:  # the rows of an imported report are only some of the tenants
        tenants = max(tenants, deciding.tenants_scanned or 0)
    if not tenants:
        return None
    return ReadyTenants(
        evidence=evidence_digest(gates.observation_ids()),
        tenants=tenants, ready=summary.ready.count, drifting=summary.drifting.count,
        nearest=tuple(
            WaitingTenant(tenant=answer.tenant, streak_days=min(answer.decision.streak_days, window),
                          earliest_open_day=answer.decision.earliest_open_day)
            for answer in summary.waiting if answer.decision.streak_days),
        most_drift=tuple(
            DriftingTenant(tenant=answer.tenant, drifting_keys=answer.drifting_keys,
                           earliest_open_day=answer.decision.earliest_open_day)
            for answer in summary.drifting))
