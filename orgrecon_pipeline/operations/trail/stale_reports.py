"""Where ledger and audit directory differ: days without their report, and reports without their evidence."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from orgrecon_pipeline.domain.errors import UnsoundTrail
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.trail.publish import record_of
from orgrecon_pipeline.report.file_names import file_name
from orgrecon_pipeline.report.read import read_report
from orgrecon_pipeline.report.verify import report_files

# A directory of years is taken over in portions: the first run imports everything that is sound anyway.
_AT_ONCE = 14


@dataclass(frozen=True)
class StaleReport:
    """A day, the digest of the record that it should have, and why it is owed."""

    day: date
    digest: str
    why: str


@dataclass(frozen=True)
class UnimportedReports:
    """Reports of days that the ledger does not know, and what is wrong with those that cannot be taken over."""

    sound: tuple[StaleReport, ...]
    refused: tuple[str, ...]


def stale_reports(work: Context, days: Iterable[date], rendered: Collection[date]) -> Iterator[StaleReport]:
    """The days of which the ledger has evidence that is not rendered, or not as it stands.

    Args:
        work: ledger and audit directory.
        days: which to look at.
        rendered: those that are known to have been rendered once.
    """
    known = set(work.ledger.days())
    for day in days:
        if day not in known:
            continue
        due = record_of(work.ledger, day)
        why = _why(work.output_dir / file_name(day), due) or ("" if day in rendered else "no run has rendered it")
        if why:
            yield StaleReport(day, due.digest, why)


def unimported_reports(ledger: Ledger, directory: str, today: date) -> UnimportedReports:
    """The latest sound reports of past days of which the ledger holds no evidence."""
    known = set(ledger.days())
    sound, refused = [], []
    unknown = [(day, path) for day, path in report_files(Path(directory)) if day < today and day not in known]
    for day, path in unknown[-_AT_ONCE:]:
        try:
            sound.append(StaleReport(day, read_report(path).digest, "its report is new"))
        except UnsoundTrail as unsound:
            refused.append(str(unsound))
    return UnimportedReports(tuple(sound), tuple(refused))


def _why(path: Path, due: Record) -> str:
    if not path.exists():
        return "its report is not in the directory"
    try:
        there = read_report(path)
    except UnsoundTrail:
        return "its report is not sound"
    if there.digest == due.digest:
        return ""
    # What the file knows and the ledger does not is not overwritten: it has to be imported first.
    news = {row.id for row in there.observations} - {row.id for row in due.observations}
    return "" if news else "its evidence, or that of an earlier day, has changed"
