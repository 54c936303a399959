"""Where the evidence stands: the verdict of each of the last days, and the gate."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from orgrecon_pipeline.domain.days import days_ending, utc_day
from orgrecon_pipeline.domain.errors import UnsoundTrail
from orgrecon_pipeline.domain.gate import SHOWN_DAYS, DayEvidence, GateDecision, GateState, decide_gate
from orgrecon_pipeline.domain.mapping import GatePolicy
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.gate.current import current_gate
from orgrecon_pipeline.report.read import read_report
from orgrecon_pipeline.report.verify import evidence_of, report_files

#: The topic of the gate; a day's topic is the day itself, as ISO writes it.
GATE_TOPIC = "gate"


@dataclass(frozen=True)
class CurrentState:
    """What is known: ``days`` are those with evidence that are looked at, and ``gate`` what all evidence decides."""

    days: Mapping[date, DayEvidence]
    gate: GateDecision | None

    def states(self) -> dict[str, str]:
        """The state of each topic. No evidence at all is a closed gate."""
        gate = self.gate.state if self.gate else GateState.CLOSED
        return {**{day.isoformat(): seen.verdict.value for day, seen in self.days.items()}, GATE_TOPIC: gate.value}


def current_state(ledger: Ledger, policy: GatePolicy, now: datetime, also: Collection[date] = ()) -> CurrentState:
    """The standing at a moment, of the last week and of the days ``also``: a gate that was open closes when the
    evidence grows too old."""
    days = ledger.evidence(date.max, policy.same_day)
    return CurrentState(_chosen(days, utc_day(now), also), current_gate(days, policy, now).decision if days else None)


def state_before_run(
    ledger: Ledger, policy: GatePolicy, now: datetime, trail: Path, also: Collection[date] = ()
) -> CurrentState:
    """The same before a run, as of the latest evidence and not of a clock: a gate that grew too old overnight is news
    to the run that finds it.

    Reports in ``trail`` of days that the ledger knows nothing of yet belong to it: a run takes those in, and they are
    no news.

    Raises:
        UnsoundTrail: when the audit directory cannot be listed.
    """
    days = dict(ledger.evidence(date.max, policy.same_day))
    days |= _only_in_trail(trail, set(days), policy)
    return CurrentState(_chosen(days, utc_day(now), also), decide_gate(max(days), days, policy) if days else None)


def _chosen(days: Mapping[date, DayEvidence], today: date, also: Collection[date]) -> dict[date, DayEvidence]:
    return {day: days[day] for day in sorted({*days_ending(today, SHOWN_DAYS), *also}) if day in days}


def _only_in_trail(directory: Path, known: set[date], policy: GatePolicy) -> dict[date, DayEvidence]:
    found = {}
    for day, path in report_files(directory):
        if day not in known:
            try:
                found[day] = evidence_of(read_report(path), policy.same_day)
            except UnsoundTrail:
                continue
    return found
