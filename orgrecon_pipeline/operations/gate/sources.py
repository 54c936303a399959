"""The gate answer from each source of evidence: the ledger, a directory of reports, or a Dagster deployment."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.days import utc_day
from orgrecon_pipeline.domain.errors import LedgerUnavailable, OtherIdentity, UnsoundTrail, UsageError
from orgrecon_pipeline.domain.evidence import Provenance
from orgrecon_pipeline.domain.gate.decision import DayEvidence, effective_policy
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.domain.integrity.chain import ChainHead
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.domain.reasons import Reason, ReasonCode, counted
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.clock import read_clock
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.gate.current import GateAnswer, current_gate, require_live_days
from orgrecon_pipeline.operations.own_ledger import existing_ledger
from orgrecon_pipeline.operations.trail.reported_evidence import with_unknown_evidence
from orgrecon_pipeline.report.file_names import shown
from orgrecon_pipeline.report.outline import ReportOutline
from orgrecon_pipeline.report.read import read_report
from orgrecon_pipeline.report.trail_identity import require_own_reports
from orgrecon_pipeline.report.verify import report_files, verify_trail

if TYPE_CHECKING:
    from orgrecon_pipeline.report.signature import PublicKey

# Days for which the longest window stays within the calendar of datetime.date.
_FIRST, _LAST = date(3, 1, 1), date(9997, 12, 31)
# An import appends hundreds of days in a row. The gate can be asked again when it has ended.
_MOST_READS = 5


@dataclass(frozen=True)
class GateEvidence:
    """The evidence of one identity from one source, with everything else that decides the gate.

    ``reports`` holds the reports if there is no ``ledger``. For ``day``, ``distrust`` and the rest see
    :func:`current_gate`.
    """

    identity: Identity
    ledger: Ledger | None
    reports: Mapping[date, ReportOutline]
    days: Mapping[date, DayEvidence]
    policy: GatePolicy
    now: datetime
    mapping_digest: str | None
    day: date | None = None
    distrust: Reason | None = None
    chain: ChainHead | None = None

    def decide(self, days: Mapping[date, DayEvidence]) -> GateAnswer:
        """Return the gate of the given days under these conditions."""
        return current_gate(
            days, self.policy, self.now, identity=self.identity, ledger=self.ledger.id if self.ledger else None,
            chain=self.chain, day=self.day, mapping_digest=self.mapping_digest, distrust=self.distrust)

    @property
    def answer(self) -> GateAnswer:
        """The gate of the whole company."""
        return self.decide(self.days)


def answer_gate(
    settings: Settings, *, trail: Path | None, day: date | None, require_live: int, require_today: bool = False,
    signed_by: Collection[PublicKey] = (),
) -> GateAnswer:
    """Return the current gate; see :func:`gather_evidence`."""
    return gather_evidence(
        settings, trail=trail, day=day, require_live=require_live, require_today=require_today,
        signed_by=signed_by, with_tenants=False).answer


def gather_evidence(
    settings: Settings, *, trail: Path | None, day: date | None = None, require_live: int = 0,
    require_today: bool = False, signed_by: Collection[PublicKey] = (), with_tenants: bool = True,
) -> GateEvidence:
    """Return the evidence of the reports in ``trail`` if it is given, else of the ledger.

    If ``signed_by`` has keys, a report in ``trail`` that none of them signed closes the gate. Without
    ``with_tenants``, the tenants in the reports are not kept, and their gates cannot be decided.

    Reports in the output directory that the ledger lacks are evidence too: the stricter answer counts. If there is no
    ledger yet, as in a fresh checkout, the output directory alone is read.

    Raises:
        UsageError: if the day is at the end of the calendar, ``require_live`` exceeds the window, or the reports
            belong to another identity.
    """
    if day is not None and not _FIRST <= day <= _LAST:
        raise UsageError(f"{day} is too close to the end of the calendar for a window: name a day of this millennium.")
    mapping = settings.mapping
    identity = settings.identity
    policy = require_live_days(mapping.gate, require_live)
    clock = read_clock(settings.environ)
    ledger = None if trail else existing_ledger(settings, mapping)
    reports: Mapping[date, ReportOutline] = {}
    distrust = chain = None
    if ledger is not None:
        require_own_reports(settings.output_dir, identity)
        days, distrust, chain = evidence_of_ledger(ledger, settings.output_dir, policy)
    elif report_files(directory := trail or settings.output_dir):
        reports, distrust = _reports_of_trail(directory, identity, signed_by, with_tenants=with_tenants)
        days = {day: report.evidence for day, report in reports.items()}
    else:
        days, distrust = {}, _no_evidence(directory, named=trail is not None)
    now = clock.now_for(evidence.provenance for evidence in days.values())
    if require_today and utc_day(now) not in days:
        distrust = distrust or _no_report_today(utc_day(now), max(days, default=None))
    return GateEvidence(identity, ledger, reports, days, policy, now, mapping.digest, day, distrust, chain)


def evidence_of_context(context: Context) -> GateEvidence:
    """Return the evidence of a context's ledger; see :func:`evidence_of_ledger`."""
    ledger, mapping = context.ledger, context.mapping
    days, distrust, chain = evidence_of_ledger(ledger, context.output_dir, mapping.gate)
    now = context.clock.now_for(day.provenance for day in days.values())
    return GateEvidence(ledger.identity, ledger, {}, days, mapping.gate, now, mapping.digest, distrust=distrust,
                        chain=chain)


def answer_gate_from_dagster(
    settings: Settings, url: str, *, asset_key: str | None = None, require_live: int, require_today: bool = False
) -> GateAnswer:
    """Return the current gate from the check of a Dagster deployment; see :func:`ask_dagster`.

    ``asset_key`` is the key of the asset with the check, as the Dagster UI writes it; None for that of the default
    code location.
    """
    from orgrecon_pipeline.operations.gate.dagster_client import (
        Question,
        ask_dagster,
        default_asset_key,
        parse_asset_key,
        recheck,
    )
    from orgrecon_pipeline.operations.gate.dagster_server import DagsterServer

    mapping = settings.mapping
    key = parse_asset_key(default_asset_key(settings.environ) if asset_key is None else asset_key)
    question = Question(settings.identity, mapping.gate, mapping.digest, key)
    clock = read_clock(settings.environ)
    answer = ask_dagster(DagsterServer.at(url, settings.environ), question, clock.now(), require_live=require_live)
    now = clock.now_for(row.provenance for row in answer.decision.window if row.provenance)
    answer = recheck(answer, question, now)
    if require_today and answer.as_of != utc_day(now):
        answer = replace(answer, decision=answer.decision.closed_because(_no_report_today(utc_day(now), answer.as_of)))
    return answer


def _no_evidence(directory: Path, *, named: bool) -> Reason:
    """Return why there is no evidence at all, so that a wrong path does not look like a MISSING day."""
    nothing = f"{shown(directory)} {'contains no report' if directory.is_dir() else 'does not exist'}"
    sentence = f"there is no ledger, and {nothing}: run orgrecon report once, or check ORGRECON_LEDGER_URL"
    return Reason.word(ReasonCode.NO_EVIDENCE, f"{nothing}: check --output-dir" if named else sentence)


def _no_report_today(today: date, latest: date | None) -> Reason:
    return Reason.word(
        ReasonCode.NO_REPORT_TODAY,
        f"{today} has no report yet, but --require-today was given; the latest evidence is of {latest or 'no day'}",
        today=today.isoformat(), latest_day=latest.isoformat() if latest else None)


def evidence_of_ledger(
    ledger: Ledger, output_dir: Path, policy: GatePolicy
) -> tuple[Mapping[date, DayEvidence], Reason | None, ChainHead | None]:
    """Return the evidence of a ledger, the reason not to trust it (None if there is none), and the head of its chain.

    Reports in the output directory are such a reason if the ledger lacks their evidence. The head covers exactly the
    evidence: if some is appended meanwhile, the ledger is read again.

    Raises:
        LedgerUnavailable: if evidence is appended during every one of several reads.
    """
    head = ledger.head()
    for _ in range(_MOST_READS):
        days, distrust = _read_evidence(ledger, output_dir, policy)
        if (latest := ledger.head()) == head:
            return days, distrust, head
        head = latest
    raise LedgerUnavailable("Evidence was appended to the ledger whenever it was read: run the command again.")


def _read_evidence(
    ledger: Ledger, output_dir: Path, policy: GatePolicy
) -> tuple[Mapping[date, DayEvidence], Reason | None]:
    """Return the evidence of a ledger, and the reason not to trust it; see :func:`evidence_of_ledger`.

    A report older than the window is only read if the ledger may lack its evidence. It can show tenants, after which no
    baseline counts, or another database.
    """
    days = ledger.evidence(date.max)
    try:
        require_own_reports(output_dir, ledger.identity)
    except OtherIdentity as error:
        return days, Reason.word(ReasonCode.OTHER_IDENTITY, str(error).rstrip("."), **error.theirs.as_json_value())
    reports = report_files(output_dir)
    newest = max([*days, *(day for day, _ in reports if day >= _FIRST)], default=None)
    length = effective_policy(newest, days, policy).window_days if newest else 0
    first_day = newest - timedelta(days=length) if newest else date.max
    baselines = {day for day, evidence in days.items() if evidence.provenance is Provenance.BASELINE}
    if max(baselines, default=date.min) < first_day:
        baselines = set()  # no baseline counts
    outlines, unsound = [], ""
    for day, path in reports:
        if day >= first_day or day not in days or day in baselines:
            try:
                outlines.append(ReportOutline.of(read_report(path, ledger.identity)))
            except UnsoundTrail as error:
                unsound = unsound or (str(error) if day >= first_day else "")
    if lacking := with_unknown_evidence(outlines, ledger):
        first = shown(output_dir)
        return days, Reason.word(
            ReasonCode.LEDGER_LACKS_REPORTS,
            f"the output directory {first} has {counted(len(lacking), 'report')} with observations that the ledger "
            f"lacks, the first of {lacking[0].day} ({lacking[0].verdict.value}): run orgrecon import {first}",
            days=[report.day.isoformat() for report in lacking])
    return days, Reason.word(ReasonCode.UNSOUND_TRAIL, unsound, findings=1) if unsound else None


def _reports_of_trail(
    directory: Path, identity: Identity, signed_by: Collection[PublicKey], *, with_tenants: bool
) -> tuple[Mapping[date, ReportOutline], Reason | None]:
    verification = verify_trail(directory, identity, signed_by, with_tenants=with_tenants)
    require_own_reports(directory, identity, read=verification.records)
    if verification.sound:
        return verification.records, None
    return verification.records, Reason.word(
        ReasonCode.UNSOUND_TRAIL, f"the trail is not sound, see orgrecon verify: {verification.findings[0]}",
        findings=len(verification.findings))
