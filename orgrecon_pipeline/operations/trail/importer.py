"""Import of reports from a trail into the ledger."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.days import utc_day
from orgrecon_pipeline.domain.errors import EvidenceNotStored, OtherIdentity, UnsoundTrail
from orgrecon_pipeline.domain.evidence import Observation, Provenance
from orgrecon_pipeline.domain.gate.decision import other_databases
from orgrecon_pipeline.domain.integrity.chain import Imported
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.clock import Clock
from orgrecon_pipeline.operations.trail.redacted_names import without_redacted_names
from orgrecon_pipeline.report.file_names import file_name, shown
from orgrecon_pipeline.report.read import read_report
from orgrecon_pipeline.report.trail_identity import require_own_reports
from orgrecon_pipeline.report.verify import report_files

if TYPE_CHECKING:
    from orgrecon_pipeline.report.signature import PublicKey

_NOT_SIMULATED = tuple(provenance for provenance in Provenance if provenance is not Provenance.SIMULATED)


@dataclass(frozen=True)
class ImportResult:
    """Result of an import: the days with new observations, their number, and why each other report was refused."""

    days: tuple[date, ...]
    observations: int
    refused: tuple[str, ...]

    def as_json_value(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {"days": [day.isoformat() for day in self.days], "observations": self.observations,
                "refused": list(self.refused)}


def import_trail(
    ledger: Ledger, directory: Path, *, only_unknown: bool = False, clock: Clock | None = None,
    signed_by: Collection[PublicKey] = (),
) -> ImportResult:
    """Import the observations of every sound report in a directory that the ledger does not have.

    ``only_unknown`` skips days for which the ledger has evidence. ``clock``, by default this machine's, determines
    today: a report of a later day is refused, because evidence from the future closes the gate and cannot be deleted.
    If ``signed_by`` has keys, a report that none of them signed is refused.

    Raises:
        OtherIdentity: if a report belongs to another identity than the ledger was opened for; nothing is imported.
    """
    require_own_reports(directory, ledger.identity)
    clock = clock or Clock()
    known = set(ledger.days()) if only_unknown else set()
    days, added, refused = [], 0, []
    for day, path in report_files(directory):
        if day in known:
            continue
        try:
            record = read_report(path, ledger.identity, signed_by)
            today = utc_day(clock.now_for([record.provenance]))
            if day > today:
                raise UnsoundTrail(
                    f"{shown(path)} is of the future: this machine's clock shows {today} (UTC). Correct the clock, or "
                    "remove the report.")
            if count := import_record(ledger, record):
                added += count
                days.append(day)
        except UnsoundTrail as unsound:
            refused.append(str(unsound))
        except EvidenceNotStored as failure:
            refused.append(f"{path.name}: {failure}")
    return ImportResult(tuple(days), added, tuple(refused))


def import_report(ledger: Ledger, directory: Path, day: date, signed_by: Collection[PublicKey] = ()) -> int:
    """Import the observations in a day's report that the ledger does not have, and return their number.

    Raises:
        UnsoundTrail: if the report exists and is not sound, or ``signed_by`` has keys and none of them signed it.
        OtherIdentity: if any report of the directory belongs to another identity.
        EvidenceNotStored: if the ledger cannot be written.
    """
    require_own_reports(directory, ledger.identity)
    path = directory / file_name(day)
    return import_record(ledger, read_report(path, ledger.identity, signed_by)) if os.path.lexists(path) else 0


def import_record(ledger: Ledger, record: Record) -> int:
    """Append the observations of a record that the ledger does not have, and return their number.

    The record has all details of its deciding observation, and only a summary of the others. Tenants that the ledger
    redacted get their pseudonyms.

    Raises:
        OtherIdentity: if the record belongs to another identity than the ledger was opened for.
        UnsoundTrail: if the record contains impossible values, or is simulated and the ledger has other evidence.
            Nothing is imported. The same if a live record is of another database than the ledger's evidence.
        EvidenceNotStored: if the ledger cannot be written.
    """
    if record.identity != ledger.identity:
        raise OtherIdentity(file_name(record.day), record.identity, ledger.identity)
    record = without_redacted_names(ledger, record)
    if record.provenance is Provenance.SIMULATED and ledger.latest(_NOT_SIMULATED):
        raise UnsoundTrail(
            f"{file_name(record.day)} is simulated, but this ledger is not: import it into a separate ledger.")
    try:
        observations = record.to_observations()
        names = _names_in(record)
        departed = {observation.id: _departed_in(observation) for observation in observations}
    except ValueError:
        raise UnsoundTrail(
            f"the record of {record.day} contains impossible values: restore its report from version control."
        ) from None
    added, known = 0, {observation.id for observation in ledger.observations(record.day)}
    if not known.issuperset(row.id for row in record.observations):
        _require_pinned(ledger, record)
    for row, observation in zip(record.observations, observations, strict=True):
        origin = Imported(report=record.digest, ledger=row.ledger, chain=row.chain)
        if row.decides and row.id not in known:
            coverage = _coverage_events(ledger, observation, names) + departed[row.id]
            added += ledger.append(observation, record.tenants, record.samples, coverage, imported=origin)
        elif row.id not in known:
            added += ledger.append(observation, (), (), departed[row.id], imported=origin)
    _import_ready_tenants(ledger, record)
    return added


def _import_ready_tenants(ledger: Ledger, record: Record) -> None:
    """Store the tenant gates of a record, unless this ledger compared its day: then it knows every tenant itself."""
    deciding = next(row for row in record.observations if row.decides)
    if record.ready_tenants and deciding.ledger != ledger.id:
        ledger.append_ready_tenants(deciding.id, record.ready_tenants)


def _require_pinned(ledger: Ledger, record: Record) -> None:
    """Require that a record is of the databases of the ledger's evidence, or shows that a move was accepted."""
    evidence = ledger.evidence(date.max)
    before = other_databases(evidence)
    for day, reason in other_databases({**evidence, record.day: record.to_evidence()}).items():
        if day not in before:
            raise UnsoundTrail(
                f"{file_name(record.day)} is of another database than this ledger: {day} was {reason.sentence}. Import "
                "it into the ledger of its own environment, and remove it from this trail.")


def _names_in(record: Record) -> dict[CoverageSubject, set[str]]:
    """Return the tenants, entities and columns that a record shows to have had rows or values, or to be lost."""
    names: dict[CoverageSubject, set[str]] = {subject: set() for subject in CoverageSubject}
    if record.verdict.decided:
        names[CoverageSubject.TENANT] |= {row.tenant for row in record.tenants if row.source_rows or row.target_rows}
        names[CoverageSubject.ENTITY] |= {name for name, t in record.entities.items() if t.source_rows or t.target_rows}
        names[CoverageSubject.COLUMN] |= {
            f"{name}.{column}"
            for name, counts in record.compared.get("values", {}).items() for column, n in counts.items() if n
        }
    coverage = record.compared.get("coverage", {})
    for lost in coverage.get("lost", ()):
        subject, name = _parse_subject(lost)
        names[subject].add(name)
    if coverage.get("left_too_many"):
        names[CoverageSubject.TENANT].update(coverage.get("left", ()))
    return names


def _departed_in(observation: Observation) -> list[CoverageEvent]:
    """Return the events of the subjects that an observation shows to have departed, as far as it names them."""
    coverage = observation.compared.get("coverage", {})
    if observation.provenance is Provenance.RESTORED:
        return []
    departed = [_parse_subject(text) for text in coverage.get("acknowledged", ())]
    if not coverage.get("lost_count") and not coverage.get("left_too_many"):
        departed += [(CoverageSubject.TENANT, name) for name in coverage.get("left", ())]
    return [CoverageEvent(subject, name, CoverageChange.DEPARTED) for subject, name in departed]


def _parse_subject(text: str) -> tuple[CoverageSubject, str]:
    """Return the subject and name of a text such as ``tenant acme``."""
    subject, _, name = text.partition(" ")
    return CoverageSubject(subject), name


def _coverage_events(
    ledger: Ledger, observation: Observation, names: dict[CoverageSubject, set[str]]
) -> list[CoverageEvent]:
    """Return an event for each name that the ledger does not know."""
    if not observation.provenance.compared:
        return []
    simulated = observation.provenance is Provenance.SIMULATED
    return [
        CoverageEvent(subject, name, CoverageChange.APPEARED)
        for subject, of_subject in names.items()
        for name in sorted(of_subject - set(ledger.known_names(subject, simulated=simulated)))]
