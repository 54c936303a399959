"""The 7-day zero-delta gate: eligibility, streak, and the decision with its reason.

Everything here is a pure function of the evidence of days up to the day asked about: evidence that arrives for
later days never changes what was said of an earlier one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import Enum

from orgrecon_pipeline.domain.days import days_ending, midnight
from orgrecon_pipeline.domain.evidence import KINDS, Provenance, Verdict
from orgrecon_pipeline.domain.mapping import GatePolicy

#: A report always shows at least this many days.
SHOWN_DAYS = 7


class GateState(str, Enum):
    """OPEN unblocks the Phase 2 read cutover."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"


@dataclass(frozen=True)
class DayEvidence:
    """What is known of one day: its deciding observation, and whether a comparison, but a demo's, saw a tenant."""

    day: date
    verdict: Verdict
    provenance: Provenance
    mapping_digest: str
    saw_a_tenant: bool
    reason: str = ""
    drift: Mapping[str, int | None] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))


@dataclass(frozen=True)
class WindowRow:
    """One day of the rolling window. ``why_not`` is empty for an eligible day."""

    day: date
    verdict: Verdict
    provenance: Provenance | None
    drift: Mapping[str, int | None]
    eligible: bool
    why_not: str


@dataclass(frozen=True)
class GateDecision:
    """The gate, as of one day.

    ``counted`` says how many of the counted days (the last ``window_days`` days of the streak) have each
    provenance. ``earliest_open_day`` is the first day on which the gate could be open if every day from now on
    were a live PASS; for an open gate, the day itself.
    """

    day: date
    state: GateState
    reason: str
    streak_days: int
    window_days: int
    counted: Mapping[Provenance, int]
    earliest_open_day: date
    window: tuple[WindowRow, ...]

    @property
    def live_days(self) -> int:
        """Counted days that compared a live database."""
        return self.counted[Provenance.LIVE]

    def closed_because(self, reason: str) -> GateDecision:
        """The same evidence with the gate held closed for a further reason."""
        return replace(self, state=GateState.CLOSED, reason=reason)


def decide_gate(day: date, days: Mapping[date, DayEvidence], policy: GatePolicy) -> GateDecision:
    """Decide the gate as of ``day`` from the evidence of all days known (later ones are ignored)."""
    trail = _Trail({d: seen for d, seen in days.items() if d <= day})
    streak = _streak(day, trail)
    counted = _counted(day, streak, trail.days, policy)
    rows = tuple(trail.row(d) for d in days_ending(day, max(SHOWN_DAYS, policy.window_days)))
    state, reason = _decide(day, streak, counted, trail, policy)
    return GateDecision(
        day=day, state=state, reason=reason, streak_days=streak, window_days=policy.window_days, counted=counted,
        earliest_open_day=_earliest_open_day(day, streak, trail.days, policy), window=rows,
    )


def valid_until(day: date) -> datetime:
    """The moment from which evidence of ``day`` is too old to hold the gate open: older than yesterday."""
    return midnight(day + timedelta(days=2))


class _Trail:
    """The evidence up to a day, with what eligibility depends on beside the day itself."""

    def __init__(self, days: Mapping[date, DayEvidence]) -> None:
        compared = [d for d, evidence in days.items() if evidence.provenance.compared]
        self.days = days
        self.first_tenant_day = min((d for d, evidence in days.items() if evidence.saw_a_tenant), default=None)
        self.epoch = days[max(compared)].mapping_digest if compared else ""
        self.simulated = all(evidence.provenance is Provenance.SIMULATED for evidence in days.values())

    def why_not(self, day: date) -> str:
        """Why a day does not count in the streak; empty when it does."""
        seen = self.days.get(day)
        if seen is None:
            return f"{day} is MISSING: it has no report"
        if seen.verdict is not Verdict.PASS:
            return f"{day} is {seen.verdict.value}" + (f": {seen.reason}" if seen.reason else "")
        if seen.provenance is Provenance.BASELINE:
            if self.first_tenant_day is not None and self.first_tenant_day <= day:
                return f"{day} is only a baseline, though a tenant was seen on {self.first_tenant_day}"
            return ""
        if seen.provenance is Provenance.SIMULATED and not self.simulated:
            return f"{day} is simulated, in a trail that is not"
        if seen.mapping_digest != self.epoch:
            return (f"{day} was compared under another mapping (epoch {seen.mapping_digest[:12]}, "
                    f"now {self.epoch[:12]})")
        return ""

    def row(self, day: date) -> WindowRow:
        seen, why_not = self.days.get(day), self.why_not(day)
        if seen is None:
            return WindowRow(day, Verdict.MISSING, None, dict.fromkeys(KINDS), False, why_not)
        return WindowRow(day, seen.verdict, seen.provenance, seen.drift, not why_not, why_not)


def _streak(day: date, trail: _Trail) -> int:
    length = 0
    while not trail.why_not(day - timedelta(days=length)):
        length += 1
    return length


def _counted(day: date, streak: int, days: Mapping[date, DayEvidence], policy: GatePolicy) -> dict[Provenance, int]:
    counted = dict.fromkeys(Provenance, 0)
    for d in days_ending(day, min(streak, policy.window_days)):
        counted[days[d].provenance] += 1
    return counted


def _decide(day: date, streak: int, counted: Mapping[Provenance, int], trail: _Trail,
            policy: GatePolicy) -> tuple[GateState, str]:
    always_told = (Provenance.LIVE, Provenance.BASELINE)
    made_of = ", ".join(f"{n} {p.value}" for p, n in counted.items() if n or p in always_told)
    if streak < policy.window_days:
        broken = trail.why_not(day - timedelta(days=streak))
        return GateState.CLOSED, f"{streak} of {policy.window_days} clean days: {broken}"
    if counted[Provenance.LIVE] < policy.min_live_days:
        return GateState.CLOSED, (f"{policy.window_days} clean days, but only {counted[Provenance.LIVE]} of the "
                                  f"{policy.min_live_days} required live ones ({made_of})")
    return GateState.OPEN, f"{policy.window_days} consecutive clean days ({made_of})"


def _earliest_open_day(day: date, streak: int, days: Mapping[date, DayEvidence], policy: GatePolicy) -> date:
    # What the counted days are made of, oldest first; each future day adds a live one at the end.
    live = [days[d].provenance is Provenance.LIVE for d in days_ending(day, streak)]
    ahead = 0
    # A whole window of live days is all that can help: a policy that asks for more than that would never be met.
    while ahead < policy.window_days and (
        len(live) < policy.window_days or sum(live[-policy.window_days:]) < policy.min_live_days
    ):
        live.append(True)
        ahead += 1
    return day + timedelta(days=ahead)
