"""The tenants whose gate opened between two states of a ledger's evidence."""

from __future__ import annotations

from dataclasses import dataclass

from orgrecon_pipeline.operations.gate.evidence_state import EvidenceState
from orgrecon_pipeline.operations.gate.sources import GateEvidence
from orgrecon_pipeline.operations.gate.tenant_summary import TenantGroup
from orgrecon_pipeline.operations.gate.tenants import TenantGates


@dataclass(frozen=True)
class OpenedTenants:
    """The tenants whose gate ``opened``, the number of those whose gate is OPEN now (``ready``), and of all tenants."""

    opened: TenantGroup
    ready: int
    total: int


def opened_since(earlier: EvidenceState | None, evidence: GateEvidence, limit: int) -> OpenedTenants:
    """Return the tenants whose gate is OPEN and was not in an earlier state, with at most ``limit`` names.

    The ledger is append-only, so the earlier gates are decided again instead of being stored. The tenants of both
    states are read in the order of their names, so they are not kept in memory. Without an earlier state, every OPEN
    gate counts as opened.
    """
    before = iter(TenantGates(earlier.restore(evidence)).all() if earlier else ())
    then = next(before, None)
    opened, ready, total = TenantGroup(limit), 0, 0
    for answer in TenantGates(evidence).all():
        while then is not None and then.tenant < answer.tenant:
            then = next(before, None)
        total += answer.exists
        if answer.open:
            ready += 1
            if then is None or then.tenant != answer.tenant or not then.open:
                opened.add(0, answer)
    return OpenedTenants(opened, ready, total)
