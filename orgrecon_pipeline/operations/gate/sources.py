"""The gate answer from each source of evidence: the ledger, a directory of reports, or a Dagster deployment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

from orgrecon_pipeline.config.mapping_file import load_mapping
from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.gate import DayEvidence
from orgrecon_pipeline.domain.mapping import GatePolicy
from orgrecon_pipeline.domain.reasons import Reason, ReasonCode
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.ledger.open import open_existing
from orgrecon_pipeline.operations.clock import read_clock
from orgrecon_pipeline.operations.gate.current import GateAnswer, current_gate, require_live_days
from orgrecon_pipeline.report.file_names import shown
from orgrecon_pipeline.report.verify import report_files, verify_trail

# Days for which the longest window stays within the calendar of datetime.date.
_FIRST, _LAST = date(3, 1, 1), date(9997, 12, 31)


def answer_gate(settings: Settings, *, trail: Path | None, day: date | None, require_live: int) -> GateAnswer:
    """Return the current gate from the reports in ``trail`` if it is given, else from the ledger.

    If there is no ledger yet, as in a fresh checkout, the output directory of the settings is read.

    Raises:
        UsageError: if the day is at the end of the calendar, or ``require_live`` exceeds the window.
    """
    if day is not None and not _FIRST <= day <= _LAST:
        raise UsageError(f"{day} is too close to the end of the calendar for a window: name a day of this millennium.")
    policy = require_live_days(load_mapping(settings.mapping_file, settings.environ).gate, require_live)
    clock = read_clock(settings.environ)
    ledger = None if trail else open_existing(settings.ledger_url)
    distrust = None
    if ledger is not None:
        days: Mapping[date, DayEvidence] = ledger.evidence(date.max, policy.same_day)
    elif report_files(directory := trail or settings.output_dir):
        days, distrust = _evidence_of_trail(directory, policy)
    else:
        days, distrust = {}, _no_evidence(directory, named=trail is not None)
    now = clock.now_for(evidence.provenance for evidence in days.values())
    return current_gate(days, policy, now, day=day, distrust=distrust)


def answer_gate_from_dagster(settings: Settings, url: str, *, require_live: int) -> GateAnswer:
    """Return the current gate from the check of a Dagster deployment; see :func:`ask_dagster`."""
    from orgrecon_pipeline.operations.gate.dagster_client import ask_dagster, recheck

    policy = load_mapping(settings.mapping_file, settings.environ).gate
    clock = read_clock(settings.environ)
    answer = ask_dagster(url, policy, clock.now(), require_live=require_live)
    now = clock.now_for(row.provenance for row in answer.decision.window if row.provenance)
    return recheck(answer, policy, now)


def _no_evidence(directory: Path, *, named: bool) -> Reason:
    """Return why there is no evidence at all, so that a wrong path does not look like a MISSING day."""
    nothing = f"{shown(directory)} {'contains no report' if directory.is_dir() else 'does not exist'}"
    sentence = f"there is no ledger, and {nothing}: run orgrecon report once, or check ORGRECON_LEDGER_URL"
    return Reason.word(ReasonCode.NO_EVIDENCE, f"{nothing}: check --output-dir" if named else sentence)


def _evidence_of_trail(directory: Path, policy: GatePolicy) -> tuple[Mapping[date, DayEvidence], Reason | None]:
    verification = verify_trail(directory)
    # same_day of the current mapping decides each day, as from the ledger, and not that of the reports.
    days = {day: record.to_evidence(policy.same_day) for day, record in verification.records.items()}
    if verification.sound:
        return days, _stricter_report(policy, verification.records[max(verification.records)])
    return days, Reason.word(
        ReasonCode.UNSOUND_TRAIL, f"the trail is not sound, see orgrecon verify: {verification.findings[0]}",
        findings=len(verification.findings))


def _stricter_report(policy: GatePolicy, newest: Record) -> Reason | None:
    """Return which rule of the newest report is stricter than the current policy, None if none is.

    That happens if the gate is asked without the mapping of the reports.
    """
    reported = GatePolicy.model_validate(newest.compared.get("gate", {}))  # a sound trail holds valid ones only
    asked = (
        ("window_days", reported.window_days > policy.window_days),
        ("min_live_days", reported.min_live_days > policy.min_live_days),
        ("same_day", reported.same_day == "worst" != policy.same_day),
    )
    return next((
        Reason.word(
            ReasonCode.OTHER_GATE_POLICY,
            f"the report of {newest.day} requires gate.{name}: {getattr(reported, name)}, but the mapping "
            f"here has {getattr(policy, name)}: name the mapping of the reports with --mapping",
            day=newest.day.isoformat(), setting=name, asked=getattr(reported, name), here=getattr(policy, name),
        ) for name, stricter in asked if stricter), None)
