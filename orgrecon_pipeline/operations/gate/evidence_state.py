"""The state of a ledger's evidence at one moment, from which the gates of all tenants follow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from orgrecon_pipeline.domain.days import utc_day
from orgrecon_pipeline.domain.mapping import GatePolicy
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.operations.gate.sources import GateEvidence


@dataclass(frozen=True)
class EvidenceState:
    """Equal states of a ledger give every tenant the same gate.

    Attributes:
        ledger: the id of the ledger.
        position: number of the ledger's last observation; later ones are not part of the state.
        day: the current UTC day, from which the age of the evidence follows.
        distrust: why the evidence is not trusted, None if it is.
    """

    ledger: str
    position: int
    day: date
    policy: GatePolicy
    mapping_digest: str | None
    distrust: ReasonCode | None

    @classmethod
    def of(cls, evidence: GateEvidence) -> EvidenceState:
        """Return the state of a ledger's evidence."""
        assert evidence.ledger is not None  # noqa: S101 - reports have no observations that are added later
        ledger = evidence.ledger
        return cls(ledger.id, ledger.position(), utc_day(evidence.now), evidence.policy, evidence.mapping_digest,
                   evidence.distrust.code if evidence.distrust else None)
