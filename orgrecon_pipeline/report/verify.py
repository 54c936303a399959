"""The trail as a whole: whether every report is sound, and whether the reports agree with one another."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from orgrecon_pipeline.domain.days import days_between
from orgrecon_pipeline.domain.errors import UnsoundTrail
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.report.agreement import disagreements, evidence_of
from orgrecon_pipeline.report.file_names import day_of, file_name, looks_like_a_report, shown
from orgrecon_pipeline.report.read import read_report

__all__ = ["Trail", "Verification", "evidence_of", "read_trail", "report_files", "verify_trail"]


@dataclass(frozen=True)
class Trail:
    """The reports of a directory, each by itself: ``files`` are all that are named like one, ``records`` those that
    are sound, and ``findings`` says of every other file what is wrong with it."""

    files: Mapping[date, Path]
    records: Mapping[date, Record]
    findings: tuple[str, ...]

    @property
    def holes(self) -> tuple[date, ...]:
        """Days between the first and the last report that have none."""
        if not self.files:
            return ()
        return tuple(day for day in days_between(min(self.files), max(self.files)) if day not in self.files)


@dataclass(frozen=True)
class Verification:
    """What a look at a trail found.

    ``findings`` make it unsound: each names a file and says in one line what is wrong. ``holes`` are days between the
    first and the last report that have none: no finding of their own, as a MISSING day cannot be made up for. A
    report that was taken away is a finding, as the reports after it still show its day.
    """

    records: Mapping[date, Record]
    findings: tuple[str, ...]
    holes: tuple[date, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether there are reports, and nothing is wrong with them."""
        return bool(self.records) and not self.findings

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
    """The reports of a directory by their names, oldest first; an absent directory has none.

    Raises:
        UnsoundTrail: when the directory cannot be listed.
    """
    named = ((day_of(name), directory / name) for name in _names(directory))
    return sorted((day, path) for day, path in named if day is not None)


def read_trail(directory: Path) -> Trail:
    """Read every report of a directory, each by itself.

    Raises:
        UnsoundTrail: when the directory cannot be listed.
    """
    findings = [
        f"{shown(directory / name)} looks like a report, but is not named YYYY-MM-DD.md: rename or remove it."
        for name in sorted(_names(directory)) if looks_like_a_report(name)
    ]
    files, records = dict(report_files(directory)), {}
    for day, path in files.items():
        try:
            records[day] = read_report(path)
        except UnsoundTrail as unsound:
            findings.append(str(unsound))
    return Trail(files, records, tuple(findings))


def verify_trail(directory: Path) -> Verification:
    """Read every report of a directory, and hold each against the others. It never raises for what it finds."""
    try:
        trail = read_trail(directory)
    except UnsoundTrail as unsound:
        return Verification({}, (str(unsound),))
    findings = [*trail.findings]
    if not trail.files:
        findings.append(f"{shown(directory)} holds no report: there is nothing to verify.")
    for day, wrong in disagreements(trail.records, trail.files):
        findings.append(f"{shown(directory / file_name(day))} {wrong}.")
    return Verification(trail.records, tuple(findings), trail.holes)


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as failure:
        why = os.strerror(failure.errno) if isinstance(failure, OSError) and failure.errno else "no valid path"
        raise UnsoundTrail(f"{shown(directory)[:300]} cannot be read as a directory of reports ({why}).") from None
