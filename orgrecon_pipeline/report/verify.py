"""Reading and verification of a whole trail."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from orgrecon_pipeline.domain.days import days_between
from orgrecon_pipeline.domain.errors import UnsoundTrail
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.report.file_names import day_of, file_name, looks_like_a_report, shown
from orgrecon_pipeline.report.read import read_report
from orgrecon_pipeline.report.trail_consistency import disagreements


@dataclass(frozen=True)
class Trail:
    """The reports of a directory.

    ``files`` are all files that are named like reports, ``records`` the ones that are sound by themselves. ``findings``
    make the trail unsound: each is one line that names a file and says what is wrong with it.
    """

    files: Mapping[date, Path]
    records: Mapping[date, Record]
    findings: tuple[str, ...]

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
                "holes": [day.isoformat() for day in self.holes]}


def report_files(directory: Path) -> list[tuple[date, Path]]:
    """Return the files that are named like reports, oldest first; raise UnsoundTrail if they cannot be listed.

    A directory that does not exist has none.
    """
    named = ((day_of(name), directory / name) for name in _names(directory))
    return sorted((day, path) for day, path in named if day is not None)


def read_trail(directory: Path, identity: Identity) -> Trail:
    """Read every report of a directory, each by itself.

    Raises:
        UnsoundTrail: if the directory cannot be listed.
        OtherIdentity: if a report belongs to another identity than ``identity``.
    """
    findings = [
        f"{shown(directory / name)} looks like a report, but is not named YYYY-MM-DD.md: rename or remove it."
        for name in sorted(_names(directory)) if looks_like_a_report(name)
    ]
    files, records = dict(report_files(directory)), {}
    for day, path in files.items():
        try:
            records[day] = read_report(path, identity)
        except UnsoundTrail as unsound:
            findings.append(str(unsound))
    return Trail(files, records, tuple(findings))


def verify_trail(directory: Path, identity: Identity) -> Trail:
    """Read every report of a directory and check it against the others. Problems become findings, not errors.

    Raises:
        OtherIdentity: if a report belongs to another identity than ``identity``.
    """
    try:
        trail = read_trail(directory, identity)
    except UnsoundTrail as unsound:
        return Trail({}, {}, (str(unsound),))
    findings = [*trail.findings]
    if not trail.files:
        findings.append(f"{shown(directory)} holds no report: there is nothing to verify.")
    for day, finding in disagreements(trail.records, trail.files):
        findings.append(f"{shown(directory / file_name(day))} {finding}.")
    return Trail(trail.files, trail.records, tuple(findings))


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as failure:
        why = os.strerror(failure.errno) if isinstance(failure, OSError) and failure.errno else "not a valid path"
        raise UnsoundTrail(f"{shown(directory)[:300]} cannot be read as a directory of reports ({why}).") from None
