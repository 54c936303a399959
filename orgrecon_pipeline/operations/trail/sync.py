"""Copying of verified reports between directories, such as from the cluster's volume into the repository.

Each report is read, verified, and rendered again in the target. A report in the target is only replaced by a report
that contains all of its evidence.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.evidence import Provenance
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.domain.integrity.redaction import pseudonyms_in
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.operations.trail.compared_records import as_compared, without_names
from orgrecon_pipeline.report.checks.trail import disagreements
from orgrecon_pipeline.report.file_names import file_name, shown
from orgrecon_pipeline.report.outline import ReportOutline
from orgrecon_pipeline.report.signature_file import valid_signature
from orgrecon_pipeline.report.verify import Trail, read_trail
from orgrecon_pipeline.report.write import check_writable, write_report

#: What happens to one day's report, and why.
Decision = tuple[Literal["copy", "unchanged", "keep", "refuse"], str]


@dataclass
class SyncResult:
    """Result of a sync.

    Attributes:
        copied: the records that were written to the target.
        unchanged: the days whose reports are equal.
        signed: the days whose reports are equal, and of which only the source's had a signature, which was copied.
        kept: why the target's report is the better one.
        conflicts: the files that were refused, with the reason; none of them was changed.
        disagreements: contradictions between sound reports of the target after the sync.
        outdated: reports of the target that were right until evidence of an earlier day arrived.
    """

    copied: dict[date, Record] = field(default_factory=dict)
    unchanged: list[date] = field(default_factory=list)
    signed: list[date] = field(default_factory=list)
    kept: dict[date, str] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    disagreements: list[str] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)

    def as_json_value(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "copied": [day.isoformat() for day in self.copied],
            "unchanged": [day.isoformat() for day in self.unchanged],
            "signed": [day.isoformat() for day in self.signed],
            "kept": {day.isoformat(): why for day, why in self.kept.items()},
            "conflicts": self.conflicts,
            "disagreements": self.disagreements,
            "outdated": self.outdated,
        }

    def lines(self) -> Iterable[str]:
        """Yield the lines to print, without conflicts and disagreements."""
        for day, record in self.copied.items():
            yield f"{day}: copied ({record.verdict.value}, {record.provenance.value})"
        for day in self.signed:
            yield f"{day}: signature added"
        for day, why in self.kept.items():
            yield f"{day}: kept, {why}"
        unchanged = len(self.unchanged) + len(self.signed)
        yield (f"{len(self.copied)} copied, {unchanged} unchanged, {len(self.kept)} kept, "
               f"{len(self.conflicts)} in conflict")


def sync_trail(
    source: Path, target: Path, identity: Identity, today: date, simulated_today: date | None = None
) -> SyncResult:
    """Copy the reports of ``source`` to ``target``, oldest first. Repeating a sync changes nothing.

    Args:
        source: a directory of reports, which is only read.
        target: the directory to copy to, created if it does not exist.
        identity: the identity to which all reports of both directories must belong.
        today: the current day; a report of a later day is refused, because it would close the gate.
        simulated_today: the current day of an injected clock, for a simulated trail.

    Raises:
        UsageError: if ``source`` contains no report, or is the same directory as ``target``.
        OtherIdentity: if a report belongs to another identity; nothing is copied.
        UnsoundTrail: if a directory cannot be listed.
        ConfigurationError: if there is a report to write and ``target`` is not writable.
        EvidenceNotStored: if a report cannot be written; the reports written before it stay.
    """
    incoming = _read_source(source, target, identity)
    existing = read_trail(target, identity)
    result = SyncResult(conflicts=list(incoming.findings))
    # The first report of a trail determines whether it is simulated.
    first = min((existing.records or incoming.records).items(), default=None)
    simulated = first is not None and first[1].provenance is Provenance.SIMULATED
    today = simulated_today if simulated and simulated_today else today
    for day, record in sorted(incoming.records.items()):
        path = shown(target / file_name(day))
        if day in existing.files and day not in existing.records:
            finding = next(finding for finding in existing.findings if finding.startswith(f"{path} "))
            result.conflicts.append(f"{finding} It is not replaced: restore it from version control, or remove it.")
            continue
        action, why = _refuse_foreign(record, today, simulated=simulated) or _decide(
            record, existing.records.get(day), existing.files.keys() | incoming.records.keys())
        if action == "refuse":
            result.conflicts.append(f"{path}: {why}.")
        elif action == "keep":
            result.kept[day] = why
        elif action == "unchanged" and not _adds_signature(incoming, existing, day):
            result.unchanged.append(day)
        else:
            if not (result.copied or result.signed):
                check_writable(target)
            _copy(record, incoming.files[day], target)
            if action == "copy":
                result.copied[day] = record
            else:
                result.signed.append(day)
    reports = {day: ReportOutline.of(record) for day, record in {**existing.records, **result.copied}.items()}
    for found in disagreements(reports, {*existing.files, *reports}):
        (result.outdated if found.outdated else result.disagreements).append(found.line(target))
    return result


def _adds_signature(incoming: Trail[Record], existing: Trail[Record], day: date) -> bool:
    """Return whether only the report to copy has a signature; both reports of the day are equal."""
    new, old = (valid_signature(trail.files[day], trail.records[day]) for trail in (incoming, existing))
    return new is not None and old is None


def _copy(record: Record, path: Path, target: Path) -> None:
    """Write a report to ``target``, with the signature that it has at ``path``."""
    signature = valid_signature(path, record)
    write_report(target, record, (lambda _: signature) if signature else None)


def _read_source(source: Path, target: Path, identity: Identity) -> Trail[Record]:
    if not source.is_dir():
        raise UsageError(f"{shown(source)} is not a directory: name the directory of the reports to copy.")
    if target.exists() and os.path.samefile(source, target):
        raise UsageError(f"{shown(source)} and {shown(target)} are the same directory: name two different ones.")
    trail = read_trail(source, identity)
    if not trail.files and not trail.findings:
        raise UsageError(f"{shown(source)} contains no report: check that the reports were copied there completely.")
    return trail


def _refuse_foreign(record: Record, today: date, *, simulated: bool) -> Decision | None:
    """Return the refusal of a report that does not belong in the target; None if it does."""
    if record.day > today:
        return "refuse", f"the report to copy is of the future: this machine's clock shows {today} (UTC)"
    if (record.provenance is Provenance.SIMULATED) is not simulated:
        difference = "real, but this trail is simulated" if simulated else "simulated, but this trail is not"
        return "refuse", f"the report to copy is {difference}: copy it to a separate directory"
    return None


def _decide(incoming: Record, existing: Record | None, days: Collection[date]) -> Decision:
    """Decide whether ``incoming`` replaces ``existing``, a report of the same day. Both are sound.

    ``days`` are those that have a report in one of the directories.
    """
    if existing is None:
        return "copy", ""
    if incoming.matches(existing):
        return "unchanged", ""
    if not incoming.provenance.compared and existing.provenance.compared:
        return "keep", f"a baseline never replaces a {existing.provenance.value} report"
    if incoming.provenance.compared and not any(row.provenance.compared for row in existing.observations):
        return "copy", ""  # a comparison, even an INCONCLUSIVE one, replaces a baseline
    ours, theirs = pseudonyms_in(existing.line()), pseudonyms_in(incoming.line())
    form = as_compared if ours == theirs else without_names
    old, new = form(existing), form(incoming)
    if old.observations == new.observations:
        if old != new:
            return "refuse", ("the reports in both directories list the same observations with different figures: find "
                              "out which report was edited")
        if ours == theirs:
            return _decide_by_window(incoming, existing, days)
        if ours < theirs:
            return "copy", ""  # a tenant was redacted since
        if theirs < ours:
            return "keep", "a tenant was redacted in it"
        return "refuse", "other tenants were redacted in each report: render the day from one ledger that redacted all"
    if old.observations.items() <= new.observations.items():
        return "copy", ""
    if new.observations.items() <= old.observations.items():
        return "keep", "it also lists later observations"
    return "refuse", ("each report of this day lists observations that the other one does not have: find out "
                      "which ledger each report comes from")


def _decide_by_window(incoming: Record, existing: Record, days: Collection[date]) -> Decision:
    """Decide between reports with the same evidence of their day, by the earlier days that each of them knows."""
    missing, added = _known_of(existing) - _known_of(incoming), _known_of(incoming) - _known_of(existing)
    if not missing:
        return "copy", ""
    if not added:
        return "keep", "it contains more earlier days"
    (ours, _), (theirs, _) = min(missing), min(added)
    if {day for day, _ in added} <= set(days):
        return "keep", (f"both reports of this day are outdated, and the one to copy contains more of {theirs}: "
                        "render it again")
    return "refuse", (f"only this report knows of {ours}, and only the report to copy knows of {theirs}: "
                      "import both directories into one ledger, and render the day from it")


def _known_of(record: Record) -> set[tuple[date, str]]:
    """Return the days of the window for which the report shows evidence, and those for which it shows a comparison."""
    known = {(row.day, "known") for row in record.window if row.provenance}
    return known | {(row.day, "compared") for row in record.window if row.provenance and row.provenance.compared}
