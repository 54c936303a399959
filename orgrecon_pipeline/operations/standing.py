"""Where the evidence stands: the verdict of one day, and the gate as the evidence alone decides it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from orgrecon_pipeline.config.mapping_file import load_mapping
from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.errors import UnsoundTrail
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.gate import DayEvidence, Judgement, judge
from orgrecon_pipeline.ledger.opening import open_existing
from orgrecon_pipeline.report.files import file_name
from orgrecon_pipeline.report.read import read_report
from orgrecon_pipeline.report.trail import evidence_of, report_files


@dataclass(frozen=True)
class Standing:
    """What is known, as of the latest evidence and not of a clock: the same evidence gives the same standing whenever
    it is looked at.

    ``gate`` is None while there is no evidence at all; ``report`` is where the day's report is or will be.
    """

    day: date
    verdict: Verdict
    reason: str
    gate: Judgement | None
    report: Path


def read_standing(settings: Settings, day: date) -> Standing:
    """The standing of ``day`` in the ledger, with the reports of days that the ledger knows nothing of yet: a run takes
    those in, and they are no news.

    Raises:
        ConfigurationError: when mapping or ledger cannot be used.
        UnsoundTrail: when the audit directory cannot be listed.
    """
    policy = load_mapping(settings.mapping_file, settings.environ).gate
    ledger = open_existing(settings.ledger_url)
    days = dict(ledger.evidence(date.max, policy.same_day)) if ledger else {}
    days |= _only_in_trail(settings.output_dir, set(days))
    seen = days.get(day)
    return Standing(
        day=day,
        verdict=seen.verdict if seen else Verdict.MISSING,
        reason=seen.reason if seen else "",
        gate=judge(max(days), days, policy) if days else None,
        report=settings.output_dir / file_name(day),
    )


def _only_in_trail(directory: Path, known: set[date]) -> dict[date, DayEvidence]:
    found = {}
    for day, path in report_files(directory):
        if day not in known:
            try:
                found[day] = evidence_of(read_report(path))
            except UnsoundTrail:
                continue
    return found
