"""The trail as a whole: whether every report is sound, and whether the reports agree with one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orgrecon_pipeline.domain.days import days_between
from orgrecon_pipeline.domain.errors import UnsoundTrail
from orgrecon_pipeline.domain.evidence import KINDS, Verdict
from orgrecon_pipeline.domain.gate import DayEvidence, GateState, judge
from orgrecon_pipeline.domain.mapping import GatePolicy
from orgrecon_pipeline.domain.record import Record, WindowDay
from orgrecon_pipeline.report.files import day_of, looks_like_a_report, shown
from orgrecon_pipeline.report.read import read_report

_RENDER_AGAIN = "render the later days again, or restore the file from version control"


@dataclass(frozen=True)
class Verification:
    """What a look at a trail found.

    ``findings`` make it unsound. ``holes`` are days between the first and the last report that have none; they are
    no finding of their own, as a MISSING day cannot be made up for, but a report that was taken away is one.
    """

    records: Mapping[date, Record]
    findings: tuple[str, ...]
    holes: tuple[date, ...] = field(default=())

    @property
    def sound(self) -> bool:
        """Whether there are reports, and nothing is wrong with them."""
        return not self.findings

    @property
    def reports(self) -> int:
        """How many sound reports there are."""
        return len(self.records)

    def as_json_value(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "sound": self.sound,
            "reports": self.reports,
            "findings": list(self.findings),
            "holes": [day.isoformat() for day in self.holes],
        }


def report_files(directory: Path) -> list[tuple[date, Path]]:
    """The reports of a directory by their names, oldest first; an absent directory has none."""
    if not directory.is_dir():
        return []
    named = ((day_of(path.name), path) for path in directory.iterdir())
    return sorted((day, path) for day, path in named if day is not None)


def evidence_of(record: Record) -> DayEvidence:
    """What a record says of its day, for the gate."""
    return DayEvidence(
        day=record.day, verdict=record.verdict, provenance=record.provenance, mapping_digest=record.mapping_digest,
        saw_a_tenant=any(row.provenance.compared and row.tenants_scanned for row in record.observations),
        reason=record.reason,
        drift={kind: _total(record, kind) for kind in KINDS},
    )


def verify_trail(directory: Path) -> Verification:
    """Read every report of a directory, and hold each against its neighbours."""
    if not directory.is_dir():
        return Verification({}, (f"{shown(directory)} is not a directory: there is nothing to verify.",))
    findings = [
        f"{shown(path)} looks like a report, but is not named YYYY-MM-DD.md."
        for path in sorted(directory.iterdir()) if looks_like_a_report(path.name)
    ]
    records: dict[date, Record] = {}
    files = report_files(directory)
    for day, path in files:
        try:
            records[day] = read_report(path)
        except UnsoundTrail as unsound:
            findings.append(str(unsound))
    if not files:
        findings.append(f"{shown(directory)} holds no report: there is nothing to verify.")
    paths = dict(files)
    evidence = {day: evidence_of(record) for day, record in records.items()}
    for day, record in records.items():
        where = shown(paths[day])
        findings += [f"{where} {wrong}." for wrong in (*_against_neighbours(record, records, paths),
                                                        *_against_rules(record, evidence, records))]
    days = [day for day, _ in files]
    holes = tuple(day for day in days_between(days[0], days[-1]) if day not in paths) if days else ()
    return Verification(records, tuple(findings), holes)


def _against_neighbours(record: Record, records: Mapping[date, Record], paths: Mapping[date, Path]) -> Iterator[str]:
    """Window rows that say something else of a day than its own report does."""
    for row in record.window:
        other = records.get(row.day)
        if other is None:
            # Unread files have a finding of their own, and of days before the first report nothing is known.
            if row.day not in paths and row.day > min(paths) and row.verdict is not Verdict.MISSING:
                yield f"shows {row.day} as {row.verdict.value}, but that day's report is gone: {_RENDER_AGAIN}"
        elif _shown(row) != _stated(other):
            yield f"shows {row.day} as {_shown(row)[0]}, and that day's report says otherwise: {_RENDER_AGAIN}"


def _against_rules(
    record: Record, evidence: Mapping[date, DayEvidence], records: Mapping[date, Record]
) -> Iterator[str]:
    """Where the record counts more in favour of the gate than the trail does, or less though nothing is hidden."""
    try:
        policy = GatePolicy.model_validate(record.compared.get("gate", {}))
    except ValidationError:
        yield "holds no valid gate policy: restore the file from version control"
        return
    judged = judge(record.day, evidence, policy)
    first = records[min(records)]
    whole = all(row.verdict is Verdict.MISSING for row in first.window if row.day < first.day)
    eligible = {row.day: row.eligible for row in judged.window}
    for row in record.window:
        if row.day in evidence and row.eligible != eligible[row.day] and (row.eligible or whole):
            yield f"counts {row.day} as {'clean' if row.eligible else 'not clean'} against the rules: {_RENDER_AGAIN}"
    stated = (record.streak_days, record.live_days, record.gate.state, record.gate.earliest_open_day)
    expected = (judged.streak_days, judged.live_days, judged.state, judged.earliest_open_day)
    too_open = record.gate.state is GateState.OPEN and judged.state is GateState.CLOSED
    if stated != expected and (whole or (too_open and judged.streak_days < (record.day - first.day).days + 1)):
        yield (f"says gate {record.gate.state.value} with a streak of {record.streak_days}, and the trail gives "
               f"{judged.state.value} with {judged.streak_days}: {_RENDER_AGAIN}")


def _shown(row: WindowDay) -> tuple[Any, ...]:
    return (row.verdict.value, row.provenance, *(getattr(row, kind) for kind in KINDS))


def _stated(record: Record) -> tuple[Any, ...]:
    return (record.verdict.value, record.provenance, *(_total(record, kind) for kind in KINDS))


def _total(record: Record, kind: str) -> int | None:
    figures = [getattr(totals, kind) for totals in record.entities.values()]
    return None if None in figures else sum(figures)
