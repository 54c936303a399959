"""Where the gate's evidence comes from: the ledger, or the reports of a directory."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

from orgrecon_pipeline.config.mapping_file import load_mapping
from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.gate import DayEvidence
from orgrecon_pipeline.domain.mapping import GatePolicy
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.ledger.open import open_existing
from orgrecon_pipeline.operations.clock import read_clock
from orgrecon_pipeline.operations.gate.current import GateAnswer, current_gate, requiring
from orgrecon_pipeline.report.file_names import shown
from orgrecon_pipeline.report.verify import evidence_of, report_files, verify_trail

# Far enough from the ends of the calendar for the longest window.
_FIRST, _LAST = date(3, 1, 1), date(9997, 12, 31)


def answer_gate(settings: Settings, *, trail: Path | None, day: date | None, require_live: int) -> GateAnswer:
    """The gate now, from the reports in ``trail`` where that is given, else from the ledger.

    Where there is no ledger yet, the audit directory of the settings is read: that is what a fresh checkout has.

    Raises:
        UsageError: for a day at the very ends of the calendar, and for more live days than the window has.
    """
    if day is not None and not _FIRST <= day <= _LAST:
        raise UsageError(f"{day} is not a day of a window that ends within the calendar: name one of this millennium.")
    policy = requiring(load_mapping(settings.mapping_file, settings.environ).gate, require_live)
    clock = read_clock(settings.environ)
    ledger = None if trail else open_existing(settings.ledger_url)
    distrust = ""
    if ledger is not None:
        days: Mapping[date, DayEvidence] = ledger.evidence(date.max, policy.same_day)
    elif report_files(directory := trail or settings.output_dir):
        days, distrust = _of_trail(directory, policy)
    else:
        days, distrust = {}, _nothing_in(directory, named=trail is not None)
    now = clock.now_for(seen.provenance for seen in days.values())
    return current_gate(days, policy, now, day=day, distrust=distrust)


def answer_gate_from_dagster(settings: Settings, url: str, *, require_live: int) -> GateAnswer:
    """The gate now, by the check of a Dagster deployment; see :func:`ask_dagster`."""
    from orgrecon_pipeline.operations.gate.dagster_client import ask_dagster, standing

    policy = load_mapping(settings.mapping_file, settings.environ).gate
    clock = read_clock(settings.environ)
    told = ask_dagster(url, policy, clock.now(), require_live=require_live)
    now = clock.now_for(row.provenance for row in told.decision.window if row.provenance)
    return standing(told, policy, now)


def _nothing_in(directory: Path, *, named: bool) -> str:
    """Why there is no evidence at all: a place that is not there is no day that is missing."""
    nothing = f"{shown(directory)} {'holds no report' if directory.is_dir() else 'is not there'}"
    if named:
        return f"{nothing}: check --output-dir"
    return f"there is no ledger, and {nothing}: run orgrecon report once, or check ORGRECON_LEDGER_URL"


def _of_trail(directory: Path, policy: GatePolicy) -> tuple[Mapping[date, DayEvidence], str]:
    verification = verify_trail(directory)
    # By the rule in force, as from the ledger, whatever rule the reports were made under.
    days = {day: evidence_of(record, policy.same_day) for day, record in verification.records.items()}
    if verification.sound:
        return days, _looser(policy, verification.records[max(verification.records)])
    return days, f"the trail is not sound, see orgrecon verify: {verification.findings[0]}"


def _looser(policy: GatePolicy, newest: Record) -> str:
    """What the newest report asks for and the rules in force do not, as where no mapping is at hand; empty for
    nothing."""
    theirs = GatePolicy.model_validate(newest.compared.get("gate", {}))  # a sound trail holds valid ones only
    asked = (
        ("window_days", theirs.window_days > policy.window_days),
        ("min_live_days", theirs.min_live_days > policy.min_live_days),
        ("same_day", theirs.same_day == "worst" != policy.same_day),
    )
    return next((
        f"the report of {newest.day} asks for gate.{name}: {getattr(theirs, name)}, and the mapping here for "
        f"{getattr(policy, name)}: name its mapping with --mapping" for name, more in asked if more), "")
