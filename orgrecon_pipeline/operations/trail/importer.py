"""From the committed trail back into the ledger."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.days import utc_day
from orgrecon_pipeline.domain.errors import EvidenceNotStored, UnsoundTrail
from orgrecon_pipeline.domain.evidence import Observation, Provenance
from orgrecon_pipeline.domain.record import ObservedRow, Record, parse_instant
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.clock import Clock
from orgrecon_pipeline.report.file_names import file_name, shown
from orgrecon_pipeline.report.read import read_report
from orgrecon_pipeline.report.verify import report_files

_OF_A_COMPANY = tuple(provenance for provenance in Provenance if provenance is not Provenance.SIMULATED)


@dataclass(frozen=True)
class ImportResult:
    """What was taken over: the days that gained observations, and the reports that were refused, with the reason."""

    days: tuple[date, ...]
    observations: int
    refused: tuple[str, ...]

    def as_json_value(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {"days": [day.isoformat() for day in self.days], "observations": self.observations,
                "refused": list(self.refused)}


def import_trail(
    ledger: Ledger, directory: Path, *, only_unknown: bool = False, clock: Clock | None = None
) -> ImportResult:
    """Put every sound report of a directory into the ledger; what the ledger has already is left as it is.

    Args:
        ledger: where to.
        directory: the audit directory.
        only_unknown: skip the days of which the ledger holds any evidence.
        clock: says what today is, by default this machine's. A report of a later day is refused: the ledger keeps for
            ever what it takes, and evidence of the future holds the gate closed.
    """
    clock = clock or Clock()
    known = set(ledger.days()) if only_unknown else set()
    days, added, refused = [], 0, []
    for day, path in report_files(directory):
        if day in known:
            continue
        try:
            record = read_report(path)
            today = utc_day(clock.now_for([record.provenance]))
            if day > today:
                raise UnsoundTrail(f"{shown(path)} is of the future: it is {today} in UTC by this machine's clock.")
            count = import_record(ledger, record)
        except (UnsoundTrail, EvidenceNotStored) as failure:
            refused.append(str(failure) if isinstance(failure, UnsoundTrail) else f"{path.name}: {failure}")
            continue
        added += count
        if count:
            days.append(day)
    return ImportResult(tuple(days), added, tuple(refused))


def import_report(ledger: Ledger, directory: Path, day: date) -> int:
    """Append what the report of a day lists and the ledger does not know; returns how many observations were new.

    Raises:
        UnsoundTrail: when there is a report that is not sound.
        EvidenceNotStored: when the ledger does not take it.
    """
    path = directory / file_name(day)
    return import_record(ledger, read_report(path)) if os.path.lexists(path) else 0


def import_record(ledger: Ledger, record: Record) -> int:
    """Append a record's observations; returns how many were new.

    Of the deciding one the ledger gets all that the record holds; of the others what the report lists.

    Raises:
        UnsoundTrail: when it is no evidence, whatever its digest says, or a demo's, and the ledger is not: then nothing
            of it is kept.
        EvidenceNotStored: when the ledger does not take it.
    """
    if record.provenance is Provenance.SIMULATED and ledger.latest(_OF_A_COMPANY):
        raise UnsoundTrail(
            f"{file_name(record.day)} is a demo's, and this ledger is not: import it into a ledger of its own."
        )
    try:
        observations = [(row, _observation(record, row)) for row in record.observations]
        seen = _seen(record)
    except (ValueError, TypeError, AttributeError):
        raise UnsoundTrail(
            f"the record of {record.day} holds what no observation does: restore its report from version control."
        ) from None
    added, known = 0, {held.id for held in ledger.observations(record.day)}
    for row, observation in observations:
        if row.id in known:
            continue
        rows = record.tenants if row.decides else ()
        samples = record.samples if row.decides else ()
        coverage = _coverage(ledger, observation, seen) if row.decides else ()
        added += ledger.append(observation, rows, samples, coverage)
    return added


def _observation(record: Record, row: ObservedRow) -> Observation:
    return Observation(
        id=row.id, day=record.day, provenance=row.provenance, verdict=row.verdict, reason=row.reason,
        observed_at=parse_instant(row.observed_at), mapping_digest=row.mapping_digest,
        orgrecon_version=row.orgrecon_version, tenants_scanned=row.tenants_scanned,
        tenants_with_drift=row.tenants_with_drift, entities=row.entities,
        # The settings of the day are known from the deciding one; the policy must be the same for a later rendering.
        compared=record.compared if row.decides else {k: record.compared[k] for k in ("gate", "report")
                                                      if k in record.compared},
    )


def _seen(record: Record) -> dict[CoverageSubject, set[str]]:
    """What a record still knows of the tenants, entities and columns that were there, or were lost: known, and gone."""
    seen: dict[CoverageSubject, set[str]] = {subject: set() for subject in CoverageSubject}
    if record.verdict.decided:
        seen[CoverageSubject.TENANT] |= {row.tenant for row in record.tenants if row.source_rows or row.target_rows}
        seen[CoverageSubject.ENTITY] |= {name for name, t in record.entities.items() if t.source_rows or t.target_rows}
        seen[CoverageSubject.COLUMN] |= {
            f"{name}.{column}"
            for name, counts in record.compared.get("values", {}).items() for column, n in counts.items() if n
        }
    for lost in record.compared.get("coverage", {}).get("lost", ()):
        subject, _, name = lost.partition(" ")
        seen[CoverageSubject(subject)].add(name)
    return seen


def _coverage(ledger: Ledger, observation: Observation, seen: dict[CoverageSubject, set[str]]) -> list[CoverageEvent]:
    """What was there, and the ledger does not know of."""
    if not observation.provenance.compared:
        return []
    simulated = observation.provenance is Provenance.SIMULATED
    return [
        CoverageEvent(subject, name, CoverageChange.APPEARED)
        for subject, names in seen.items()
        for name in sorted(names - set(ledger.known(subject, simulated=simulated)))
    ]
