"""Bringing reports from one audit directory into another, as from the cluster's volume into the repository.

A report is never copied byte by byte: it is read, proved to be what its record renders to, and rendered again where
it is to be. What is there already gives way only to a report that knows everything that it knows.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any

from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.record import ObservedRow, Record
from orgrecon_pipeline.report.agreement import disagreements
from orgrecon_pipeline.report.file_names import file_name, shown
from orgrecon_pipeline.report.verify import Trail, read_trail
from orgrecon_pipeline.report.write import check_writable, write_report


class Action(str, Enum):
    """What is done with one day's report."""

    COPY = "copied"
    NOTHING = "unchanged"
    KEEP = "kept"
    REFUSE = "refused"


@dataclass(frozen=True)
class Decision:
    """What is done with one day's report, and why, as the rest of a sentence about it."""

    action: Action
    why: str = ""


@dataclass
class SyncResult:
    """What a sync did.

    ``copied``, ``kept`` and ``unchanged`` are the days of the sound reports of the source; ``kept`` says why the
    target's was the better one. ``conflicts`` names every file that was neither, with the reason: nothing that is
    named there was changed. ``disagreements`` is what :mod:`orgrecon_pipeline.report.agreement` finds in the target
    afterwards: reports that are each sound, and contradict one another.
    """

    copied: dict[date, Record] = field(default_factory=dict)
    unchanged: list[date] = field(default_factory=list)
    kept: dict[date, str] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    disagreements: list[str] = field(default_factory=list)

    def as_json_value(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "copied": [day.isoformat() for day in self.copied],
            "unchanged": [day.isoformat() for day in self.unchanged],
            "kept": {day.isoformat(): why for day, why in self.kept.items()},
            "conflicts": self.conflicts,
            "disagreements": self.disagreements,
        }

    def lines(self) -> Iterable[str]:
        """The result for a person, without what is wrong."""
        for day, record in self.copied.items():
            yield f"{day}: copied ({record.verdict.value}, {record.provenance.value})"
        for day, why in self.kept.items():
            yield f"{day}: kept, {why}"
        yield (f"{len(self.copied)} copied, {len(self.unchanged)} unchanged, {len(self.kept)} kept, "
               f"{len(self.conflicts)} in conflict")


def sync_trail(source: Path, target: Path, today: date, simulated_today: date | None = None) -> SyncResult:
    """Take the reports of ``source`` over into ``target``, oldest first; running it again changes nothing.

    Args:
        source: a directory of reports; nothing in it is changed.
        target: the audit directory, created when it is missing.
        today: a report of a later day is refused: it would hold the gate closed.
        simulated_today: the same by an injected clock, which counts in a demo's directory only.

    Raises:
        UsageError: when ``source`` holds no report, or is ``target``.
        UnsoundTrail: when a directory cannot be listed.
        ConfigurationError: when there is something to write, and ``target`` cannot be written to.
        EvidenceNotStored: when a report cannot be written; what was written before it stays.
    """
    theirs = _read(source, target)
    ours = read_trail(target)
    done = SyncResult(conflicts=list(theirs.findings))
    simulated = _is_simulated(ours.records or theirs.records)
    today = simulated_today if simulated and simulated_today else today
    for day, record in sorted(theirs.records.items()):
        path = shown(target / file_name(day))
        if day in ours.files and day not in ours.records:
            wrong = next(finding for finding in ours.findings if finding.startswith(f"{path} "))
            done.conflicts.append(f"{wrong} It is not replaced: restore it from version control, or remove it.")
            continue
        decision = _admit(record, today, simulated=simulated) or decide(record, ours.records.get(day))
        if decision.action is Action.REFUSE:
            done.conflicts.append(f"{path}: {decision.why}.")
        elif decision.action is Action.KEEP:
            done.kept[day] = decision.why
        elif decision.action is Action.NOTHING:
            done.unchanged.append(day)
        else:
            if not done.copied:
                check_writable(target)
            write_report(target, record)
            done.copied[day] = record
    records = {**ours.records, **done.copied}
    done.disagreements = [
        f"{shown(target / file_name(day))} {wrong}." for day, wrong in disagreements(records, {*ours.files, *records})
    ]
    return done


def decide(theirs: Record, ours: Record | None) -> Decision:
    """Whether ``theirs`` takes the place of ``ours``, of the same day. Both are sound."""
    if ours is None:
        return Decision(Action.COPY)
    if theirs.digest == ours.digest and theirs.line() == ours.line():
        return Decision(Action.NOTHING)
    if not theirs.provenance.compared and ours.provenance.compared:
        return Decision(Action.KEEP, f"a baseline never replaces a {ours.provenance.value} report")
    if theirs.provenance.compared and not any(seen.provenance.compared for seen in ours.observations):
        return Decision(Action.COPY)  # a comparison, however it ended, says more than a stamp
    known, new = _observations(ours), _observations(theirs)
    if known != new and known.items() <= new.items():
        return Decision(Action.COPY)
    if known != new and new.items() <= known.items():
        return Decision(Action.KEEP, "it lists later observations too")
    if known != new:
        return _refused("each directory has a report of this day, and lists observations that the other one does not: "
                        "find out what each of them was made from")
    if _details(theirs) != _details(ours):
        return _refused("each directory has a report of the same observations, and their figures differ: find out "
                        "which of the two was touched")
    return _by_window(theirs, ours)


def _by_window(theirs: Record, ours: Record) -> Decision:
    """The same evidence of the day itself, seen in the light of different days before it."""
    lost, gained = _known_days(ours) - _known_days(theirs), _known_days(theirs) - _known_days(ours)
    if not lost:
        return Decision(Action.COPY)
    if not gained:
        return Decision(Action.KEEP, "it knows more of the days before it")
    return _refused(f"each directory has a report of this day; this one knows of {min(lost)} and the other one of "
                    f"{min(gained)}: import both directories into one ledger, and render the day from it")


def _read(source: Path, target: Path) -> Trail:
    if not source.is_dir():
        raise UsageError(f"{shown(source)} is not a directory: name the one that holds the reports to take over.")
    if target.exists() and os.path.samefile(source, target):
        raise UsageError(f"{shown(source)} and {shown(target)} are the same directory: there is nothing to take over.")
    theirs = read_trail(source)
    if not theirs.files and not theirs.findings:
        raise UsageError(f"{shown(source)} holds no report: check that they were copied out completely.")
    return theirs


def _admit(record: Record, today: date, *, simulated: bool) -> Decision | None:
    """Why a report does not belong into the target at all; None when it does."""
    if record.day > today:
        return _refused(f"the report to take over is of the future: it is {today} in UTC by this machine's clock")
    if (record.provenance is Provenance.SIMULATED) is not simulated:
        which = "real, and this directory is a demo's" if simulated else "a demo's, and this directory is not"
        return _refused(f"the report to take over is {which}: take it to a directory of its own")
    return None


def _refused(why: str) -> Decision:
    return Decision(Action.REFUSE, why)


def _is_simulated(records: Mapping[date, Record]) -> bool:
    """Whether a trail is a demo's: the first report says so."""
    return bool(records) and records[min(records)].provenance is Provenance.SIMULATED


def _observations(record: Record) -> dict[str, ObservedRow]:
    return {seen.id: seen.model_copy(update={"decides": False}) for seen in record.observations}


def _details(record: Record) -> tuple[Any, ...]:
    """What a record holds of its deciding observation and of nothing else."""
    decides = next(seen.id for seen in record.observations if seen.decides)
    return decides, record.tenants, record.samples, record.compared


def _known_days(record: Record) -> set[date]:
    return {row.day for row in record.window if row.verdict is not Verdict.MISSING}
