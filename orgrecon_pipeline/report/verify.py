"""Reading and verification of a whole trail."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from orgrecon_pipeline.domain.days import days_between
from orgrecon_pipeline.domain.errors import UnsoundTrail
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.report.checks.trail import disagreements
from orgrecon_pipeline.report.file_names import day_of, looks_like_a_report, shown
from orgrecon_pipeline.report.outline import ReportOutline
from orgrecon_pipeline.report.read import read_report
from orgrecon_pipeline.report.signature_file import SIGNATURE_SUFFIX

if TYPE_CHECKING:
    from orgrecon_pipeline.report.signature import PublicKey

#: What is kept of each report.
Kept = TypeVar("Kept")


@dataclass(frozen=True)
class Trail(Generic[Kept]):
    """The reports of a directory.

    Attributes:
        files: all files that are named like reports.
        records: the records or outlines of the ones that are sound by themselves.
        findings: what makes the trail unsound: each is one line that names a file and says what is wrong with it.
        contradictory: the days of those ``records`` that other reports show to be unsound.
        outdated: the days of reports that were right until evidence of an earlier day arrived, with one line each. They
            do not make the trail unsound.
    """

    files: Mapping[date, Path]
    records: Mapping[date, Kept]
    findings: tuple[str, ...]
    contradictory: frozenset[date] = frozenset()
    outdated: Mapping[date, str] = field(default_factory=dict)

    @property
    def holes(self) -> tuple[date, ...]:
        """Days without a report between the first and the last report.

        A hole is no finding, because a MISSING day cannot be repaired. A report that was removed is a finding, because
        later reports still show its day.
        """
        if not self.files:
            return ()
        return tuple(day for day in days_between(min(self.files), max(self.files)) if day not in self.files)

    @property
    def sound(self) -> bool:
        """Whether there are reports and no findings. Only :func:`verify_trail` compares the reports with each other."""
        return bool(self.records) and not self.findings

    @property
    def reports(self) -> int:
        """Number of sound reports."""
        return len(self.records)

    def as_json_value(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {"sound": self.sound, "reports": self.reports, "findings": list(self.findings),
                "holes": [day.isoformat() for day in self.holes], "outdated": list(self.outdated.values()),
                "states": {day.isoformat(): self.state(day) for day in sorted(self.files)}}

    def state(self, day: date) -> Literal["sound", "outdated", "unsound"]:
        """Return the state of a day's report."""
        if day not in self.records or day in self.contradictory:
            return "unsound"
        return "outdated" if day in self.outdated else "sound"


def report_files(directory: Path) -> list[tuple[date, Path]]:
    """Return the files that are named like reports, oldest first; raise UnsoundTrail if they cannot be listed.

    A directory that does not exist has none.
    """
    named = ((day_of(name), directory / name) for name in _names(directory))
    return sorted((day, path) for day, path in named if day is not None)


def _signed_reports(directory: Path) -> list[Path]:
    """Return the reports, present or not, that have a file for their signature, oldest first."""
    reports = (name[: -len(SIGNATURE_SUFFIX)] for name in sorted(_names(directory)) if name.endswith(SIGNATURE_SUFFIX))
    return [directory / report for report in reports if day_of(report)]


def read_trail(directory: Path, identity: Identity, signed_by: Collection[PublicKey] = ()) -> Trail[Record]:
    """Read every report of a directory, each by itself. If keys are given, one of them must have signed each report.

    Raises:
        UnsoundTrail: if the directory cannot be listed.
        OtherIdentity: if a report belongs to another identity than ``identity``.
    """
    return _read_trail(directory, identity, signed_by, lambda record: record)


def _read_trail(
    directory: Path, identity: Identity, signed_by: Collection[PublicKey], keep: Callable[[Record], Kept]
) -> Trail[Kept]:
    findings = [
        f"{shown(directory / name)} looks like a report, but is not named YYYY-MM-DD.md: rename or remove it."
        for name in sorted(_names(directory)) if looks_like_a_report(name)
    ] + [
        f"{shown(report)} is not there, but its signature is: restore it from version control, or remove the signature."
        for report in _signed_reports(directory) if not os.path.lexists(report)
    ]
    files, records = dict(report_files(directory)), {}
    for day, path in files.items():
        try:
            records[day] = keep(read_report(path, identity, signed_by))
        except UnsoundTrail as unsound:
            findings.append(str(unsound))
    return Trail(files, records, tuple(findings))


def verify_trail(
    directory: Path, identity: Identity, signed_by: Collection[PublicKey] = (), *, with_tenants: bool = False
) -> Trail[ReportOutline]:
    """Read every report of a directory and check it against the others. Problems become findings, not errors.

    If keys are given, a report that none of them signed is a finding. ``with_tenants`` keeps what the gates of tenants
    need.

    Raises:
        OtherIdentity: if a report belongs to another identity than ``identity``.
    """
    known: dict[Hashable, Any] = {}

    def outline(record: Record) -> ReportOutline:
        return ReportOutline.of(record, with_tenants=with_tenants).sharing(known)

    try:
        trail = _read_trail(directory, identity, signed_by, outline)
    except UnsoundTrail as unsound:
        return Trail({}, {}, (str(unsound),))
    findings = [*trail.findings]
    if not trail.files:
        findings.append(f"{shown(directory)} holds no report: there is nothing to verify." if directory.exists()
                        else f"{shown(directory)} does not exist: name the directory that holds the reports.")
    contradictory: set[date] = set()
    outdated: dict[date, str] = {}
    for found in disagreements(trail.records, trail.files):
        line = found.line(directory)
        if found.outdated:
            outdated[found.day] = line
        else:
            findings.append(line)
            contradictory.add(found.day)
    outdated = {day: line for day, line in outdated.items() if day not in contradictory}
    return replace(trail, findings=tuple(findings), contradictory=frozenset(contradictory), outdated=outdated)


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as failure:
        why = os.strerror(failure.errno) if isinstance(failure, OSError) and failure.errno else "not a valid path"
        raise UnsoundTrail(f"{shown(directory)[:300]} cannot be read as a directory of reports ({why}).") from None
