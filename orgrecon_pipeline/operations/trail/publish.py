"""Publishing of a day: build its record from the ledger, and write its report."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pydantic import ValidationError

from orgrecon_pipeline.domain.errors import DayRefused, EvidenceNotStored, UnsoundTrail
from orgrecon_pipeline.domain.evidence import Observation
from orgrecon_pipeline.domain.gate.day_decision import decided_by_own_policy, gate_policy_of
from orgrecon_pipeline.domain.gate.decision import GateDecision, decide_gate
from orgrecon_pipeline.domain.mapping.change import MappingChange
from orgrecon_pipeline.domain.mapping.model import GatePolicy, ReportSettings
from orgrecon_pipeline.domain.record import Record, build_record, changed_since
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.gate.ready_tenants import ready_tenants_as_of
from orgrecon_pipeline.operations.trail.importer import import_report
from orgrecon_pipeline.operations.trail.reported_evidence import shows_unknown_evidence
from orgrecon_pipeline.operations.trail.signing import read_signing_key
from orgrecon_pipeline.report.file_names import file_name, shown
from orgrecon_pipeline.report.read import read_report
from orgrecon_pipeline.report.render import render_plain
from orgrecon_pipeline.report.write import write_report


@dataclass(frozen=True)
class Published:
    """A record and the path of its report."""

    record: Record
    path: Path

    @property
    def plain_text(self) -> str:
        """The report for a viewer other than GitHub, rendered on demand; see :func:`render_plain`."""
        return render_plain(self.record)


def gate_as_of(ledger: Ledger, day: date) -> GateDecision:
    """Return the gate decision as of a day, under the policy of its own observations.

    Raises:
        DayRefused: if the day has no evidence.
    """
    return _evidence_of(ledger, day)[2]


def record_of(ledger: Ledger, day: date) -> Record:
    """Return the record of a day. It depends on the evidence only: the same evidence gives the same record.

    Raises:
        DayRefused: if the day has no evidence.
    """
    observations, deciding, gate = _evidence_of(ledger, day)
    tenants = ledger.breakdown(deciding.id, _report_settings(deciding).breakdown_limit)
    return build_record(
        ledger.identity, deciding, observations, tenants, ledger.samples(deciding.id), gate,
        _mapping_change(ledger, deciding, gate), ready_tenants_as_of(ledger, deciding, gate), ledger.chain_of(day))


def publish(context: Context, day: date) -> Published:
    """Write the report of a day from the ledger, after importing the observations that only an existing report has.

    If the environment names a signing key, the report is signed. An existing report then counts only if that key signed
    it. Otherwise it is not overwritten while it has observations that the ledger lacks.

    Raises:
        DayRefused: if the day has no evidence.
        ConfigurationError: if the signing key cannot be used; nothing is written.
        OtherIdentity: if the output directory holds a report of another identity.
        EvidenceNotStored: if the ledger or the file cannot be written, or the existing report is not overwritten.
    """
    key = read_signing_key(context.environ)
    signers = (key.public,) if key else ()
    with suppress(UnsoundTrail):  # nothing can be imported, and the report is written again
        import_report(context.ledger, context.output_dir, day, signers)
    if signers:
        _require_known_evidence(context, day)
    record = record_of(context.ledger, day)
    if record.ready_tenants:
        deciding = next(row.id for row in record.observations if row.decides)
        context.ledger.append_ready_tenants(deciding, record.ready_tenants)
    with suppress(UnsoundTrail):
        existing = read_report(context.output_dir / file_name(day), record.identity, signers)
        # A report with the sentences of another version of orgrecon stays as it is.
        record = existing if existing.matches(record) else record
    return Published(record, write_report(context.output_dir, record, key.sign if key else None))


def _require_known_evidence(context: Context, day: date) -> None:
    """Require that the ledger has all observations of an existing report, so that overwriting it loses none."""
    path = context.output_dir / file_name(day)
    with suppress(UnsoundTrail):
        if shows_unknown_evidence(read_report(path, context.ledger.identity), context.ledger):
            raise EvidenceNotStored(
                f"{shown(path)} was not signed with this run's key, and has observations that the ledger lacks: find "
                f"out who wrote it, then run orgrecon import {shown(context.output_dir)}, or move it away.")


def _mapping_change(ledger: Ledger, deciding: Observation, gate: GateDecision) -> MappingChange | None:
    """Return how the mapping differs from that of the latest decided day in the window with another one."""
    if not deciding.provenance.compared:
        return None
    for row in reversed(gate.window[:-1]):
        if row.verdict.decided and row.provenance and row.provenance.compared:
            earlier = decided_by_own_policy(ledger.observations(row.day))
            if earlier.provenance.compared and earlier.mapping_digest != deciding.mapping_digest:
                return changed_since(deciding, earlier)
    return None


def _evidence_of(ledger: Ledger, day: date) -> tuple[Sequence[Observation], Observation, GateDecision]:
    """Return the observations of a day, the one that decides it, and the gate as of the day."""
    observations = ledger.observations(day)
    if not observations:
        raise DayRefused(f"{day} has no evidence in the ledger: import its report, or name another day.")
    deciding = decided_by_own_policy(observations)
    gate = decide_gate(day, ledger.evidence(day), gate_policy_of(deciding.compared) or GatePolicy())
    return observations, deciding, gate


def _report_settings(observation: Observation) -> ReportSettings:
    """Return the report settings of an observation, or the defaults if it has none."""
    try:
        return ReportSettings.model_validate(observation.compared.get("report", {}))
    except ValidationError:
        return ReportSettings()
