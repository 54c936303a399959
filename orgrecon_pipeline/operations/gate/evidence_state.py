"""State of a ledger's evidence at one moment, which determines the gates of all tenants."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from pydantic import BaseModel, ConfigDict, ValidationError

from orgrecon_pipeline.domain.days import midnight, utc_day
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.domain.reasons import Reason, ReasonCode
from orgrecon_pipeline.ledger.connection.engine import Past
from orgrecon_pipeline.operations.gate.sources import GateEvidence


class EvidenceState(BaseModel):
    """Equal states of a ledger give every tenant the same gate. A later state can be compared with it tenant by tenant.

    Attributes:
        ledger: the id of the ledger.
        position: number of the last observation.
        imported: whether observations that the ledger imports later are part of the state.
        day: the current UTC day, from which the age of the evidence follows.
        distrust: why the evidence is not trusted, None if it is.
    """

    model_config = ConfigDict(frozen=True)

    ledger: str
    position: int
    imported: bool = False
    day: date
    policy: GatePolicy
    mapping_digest: str | None
    distrust: ReasonCode | None

    @classmethod
    def of(cls, evidence: GateEvidence) -> EvidenceState:
        """Return the state of a ledger's evidence."""
        ledger = evidence.ledger
        assert ledger is not None  # noqa: S101 - reports have no observations that are added later
        return cls(
            ledger=ledger.id, position=ledger.position(), day=utc_day(evidence.now),
            policy=GatePolicy(**{name: getattr(evidence.policy, name) for name in GatePolicy.model_fields}),
            mapping_digest=evidence.mapping_digest, distrust=evidence.distrust.code if evidence.distrust else None)

    @classmethod
    def before_run(cls, evidence: GateEvidence) -> EvidenceState:
        """Return the state before a run. It includes reports that the run imports: they are not new evidence."""
        return cls.of(evidence).model_copy(update={"imported": True, "distrust": None})

    @classmethod
    def from_text(cls, text: str) -> EvidenceState | None:
        """Return the state in a text of :meth:`as_text`, None for any other text."""
        try:
            return cls.model_validate_json(text)
        except ValidationError:
            return None

    def as_text(self) -> str:
        """Return the state as text; equal states give equal texts."""
        return self.model_dump_json()

    def restore(self, evidence: GateEvidence) -> GateEvidence:
        """Return the evidence of this state, from the later evidence of the same ledger."""
        assert evidence.ledger is not None  # noqa: S101 - see above
        ledger = evidence.ledger.at(Past(self.position, self.imported))
        distrust = Reason.stored(self.distrust, {}, "") if self.distrust else None
        return replace(
            evidence, ledger=ledger, days=ledger.evidence(date.max), policy=self.policy, now=midnight(self.day),
            mapping_digest=self.mapping_digest, distrust=distrust)
