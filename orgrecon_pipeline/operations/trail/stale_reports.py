"""Differences between ledger and output directory: stale and outdated reports, and reports that were not imported."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from orgrecon_pipeline.domain.errors import UnsoundTrail
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.trail.importer import import_trail
from orgrecon_pipeline.operations.trail.publish import publish, record_of
from orgrecon_pipeline.operations.trail.signing import SIGNING_KEY_VARIABLE, own_signers
from orgrecon_pipeline.report.file_names import file_name
from orgrecon_pipeline.report.outline import ReportOutline
from orgrecon_pipeline.report.read import read_report
from orgrecon_pipeline.report.signature_file import valid_signature
from orgrecon_pipeline.report.verify import Trail, report_files

if TYPE_CHECKING:
    from orgrecon_pipeline.report.signature import PublicKey

# Days per call. The first run imports all sound reports anyway.
_MAX_UNIMPORTED = 14


@dataclass(frozen=True)
class StaleReport:
    """A day to render: the digest that its record must have, and why its report is stale."""

    day: date
    digest: str
    why: str


@dataclass(frozen=True)
class UnimportedReports:
    """Reports of days that the ledger does not have, and why the unsound ones are refused."""

    sound: tuple[StaleReport, ...]
    refused: tuple[str, ...]


def stale_reports(context: Context, days: Iterable[date], rendered: Collection[date]) -> Iterator[StaleReport]:
    """Yield those of ``days`` whose report in the output directory does not show the ledger's evidence.

    ``rendered`` are the days that a run has rendered before.
    """
    known, signs = set(context.ledger.days()), bool(context.environ.get(SIGNING_KEY_VARIABLE))
    for day in (day for day in days if day in known):
        due = record_of(context.ledger, day)
        why = _why_stale(context.output_dir / file_name(day), due, signs=signs)
        if not why and day not in rendered:
            why = "no run has rendered it yet"
        if why:
            yield StaleReport(day, due.digest, why)


def refresh_outdated(context: Context, trail: Trail[ReportOutline]) -> list[date]:
    """Render the outdated reports of the output directory again, oldest first, and return their days.

    ``trail`` is the verified output directory; its sound reports are imported first. A report that leaves out tenants
    is only rendered by the ledger that compared them, because another ledger would know fewer tenant gates. A signed
    report is only rendered by a process that signs.
    """
    signers = own_signers(context.environ)
    days = [day for day in sorted(trail.outdated) if _can_render(context.ledger, trail.records[day])
            and (signers or not _is_signed(trail.files[day], context.ledger.identity))]
    if days:
        import_trail(context.ledger, context.output_dir, clock=context.clock, signed_by=signers)
    for day in days:
        publish(context, day)
    return days


def _is_signed(path: Path, identity: Identity) -> bool:
    return valid_signature(path, read_report(path, identity)) is not None


def _can_render(ledger: Ledger, report: ReportOutline) -> bool:
    return report.ledger in (None, ledger.id) or report.lists_every_tenant


def unimported_reports(
    ledger: Ledger, directory: str, today: date, signed_by: Collection[PublicKey] = ()
) -> UnimportedReports:
    """Return the latest reports of past days for which the ledger has no evidence.

    If ``signed_by`` has keys, a report that none of them signed is refused.
    """
    known = set(ledger.days())
    sound, refused = [], []
    unknown = [(day, path) for day, path in report_files(Path(directory)) if day < today and day not in known]
    for day, path in unknown[-_MAX_UNIMPORTED:]:
        try:
            record = read_report(path, ledger.identity, signed_by)
            sound.append(StaleReport(day, record.digest, "its report was not imported yet"))
        except UnsoundTrail as unsound:
            refused.append(str(unsound))
    return UnimportedReports(tuple(sound), tuple(refused))


def _why_stale(path: Path, due: Record, *, signs: bool) -> str:
    """Return why the report at ``path`` is stale; empty if it shows the record ``due``, signed if ``signs``."""
    if not path.exists():
        return "it has no report in the directory"
    try:
        report = read_report(path, due.identity)
    except UnsoundTrail:
        return "its report is not sound"
    if report.matches(due):
        return "it is not signed" if signs and valid_signature(path, report) is None else ""
    # A report with observations that the ledger does not have must be imported before it is overwritten.
    not_imported = {row.id for row in report.observations} - {row.id for row in due.observations}
    return "" if not_imported else "its evidence, or the evidence of an earlier day, has changed"
