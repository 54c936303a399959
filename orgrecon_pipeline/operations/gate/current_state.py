"""The current state of the evidence: the verdict of each recent day, and the gate."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from orgrecon_pipeline.domain.days import days_ending, utc_day
from orgrecon_pipeline.domain.errors import UnsoundTrail
from orgrecon_pipeline.domain.gate.decision import SHOWN_DAYS, DayEvidence, GateDecision, decide_gate
from orgrecon_pipeline.domain.gate.state import GateState
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.gate.current import current_gate
from orgrecon_pipeline.operations.gate.sources import evidence_of_ledger
from orgrecon_pipeline.report.read import read_report
from orgrecon_pipeline.report.verify import report_files

#: The notification topic of the gate. The topic of a day is its ISO date.
GATE_TOPIC = "gate"

#: Topics that are only notified if they are asked for: the growing streak, whose state is its last day (ISO), and the
#: tenants whose gate opened, with the state of the evidence.
STREAK_TOPIC, TENANTS_TOPIC = OPTIONAL_TOPICS = ("streak", "tenants")

# Reasons of a gate that opens by itself after more clean days. Others need a person first.
_GROWING = (ReasonCode.STREAK_TOO_SHORT, ReasonCode.TOO_FEW_LIVE_DAYS, ReasonCode.OTHER_GATE_POLICY)


@dataclass(frozen=True)
class CurrentState:
    """The evidence of the recent days, and the gate decided from all days (None without any evidence)."""

    days: Mapping[date, DayEvidence]
    gate: GateDecision | None

    def states(self) -> dict[str, str]:
        """Return the state of each topic, except the tenants. Without any evidence the gate is CLOSED."""
        gate = self.gate.state if self.gate else GateState.CLOSED
        return {**{day.isoformat(): evidence.verdict.value for day, evidence in self.days.items()},
                GATE_TOPIC: gate.value,
                **({STREAK_TOPIC: self.gate.day.isoformat()} if self.gate and _grows(self.gate) else {})}


def _grows(gate: GateDecision) -> bool:
    return gate.state is GateState.CLOSED and gate.streak_days > 0 and gate.reason.code in _GROWING


def current_state(
    ledger: Ledger, policy: GatePolicy, now: datetime, trail: Path, also: Collection[date] = (),
    mapping_digest: str | None = None,
) -> CurrentState:
    """Return the state at ``now`` of the last week and of the days ``also``.

    The gate closes when its evidence becomes too old.
    """
    days, distrust, _ = evidence_of_ledger(ledger, trail, policy)
    answer = current_gate(days, policy, now, identity=ledger.identity, ledger=ledger.id,
                          mapping_digest=mapping_digest, distrust=distrust)
    gate = answer.decision if days else None
    return CurrentState(_recent(days, policy, utc_day(now), also), gate)


def state_before_run(
    ledger: Ledger, policy: GatePolicy, now: datetime, trail: Path, also: Collection[date] = ()
) -> CurrentState:
    """Return the state before a run, with the gate as of the latest evidence.

    The clock is ignored, so that the run reports a gate that closed overnight as a change. Days that only ``trail``
    has evidence of are included, because importing their reports is not a change.

    Raises:
        UnsoundTrail: if the output directory cannot be listed.
    """
    days = dict(ledger.evidence(date.max))
    for day, path in report_files(trail):
        if day not in days:
            with suppress(UnsoundTrail):
                days[day] = read_report(path, ledger.identity).to_evidence()
    gate = decide_gate(max(days), days, policy) if days else None
    return CurrentState(_recent(days, policy, utc_day(now), also), gate)


def _recent(
    days: Mapping[date, DayEvidence], policy: GatePolicy, today: date, also: Collection[date]
) -> dict[date, DayEvidence]:
    return {day: days[day].under(policy) for day in sorted({*days_ending(today, SHOWN_DAYS), *also}) if day in days}
