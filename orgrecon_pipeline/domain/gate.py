"""The 7-day zero-delta gate: which days are eligible, the streak, and the decision with its reason.

Everything here is a pure function of the evidence up to the day asked about. Evidence of later days never changes the
decision for an earlier day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import Enum

from orgrecon_pipeline.domain.days import days_ending, midnight
from orgrecon_pipeline.domain.drift_kinds import Counts
from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.mapping import GatePolicy
from orgrecon_pipeline.domain.reasons import Reason, ReasonCode

#: A report shows at least this many days.
SHOWN_DAYS = 7


class GateState(str, Enum):
    """OPEN unblocks the Phase 2 read cutover."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"


@dataclass(frozen=True)
class DayEvidence:
    """One day as the gate needs it: its deciding observation.

    ``saw_a_tenant`` says whether any observation of the day found a tenant in a database of the company.
    """

    day: date
    verdict: Verdict
    provenance: Provenance
    mapping_digest: str
    saw_a_tenant: bool
    reason: Reason = field(default_factory=lambda: Reason.word(ReasonCode.UNKNOWN, ""))
    counts: Counts[int | None] = field(default_factory=Counts.zero)


@dataclass(frozen=True)
class WindowRow:
    """One day of the rolling window. ``reason`` says why the day is not eligible; its sentence can be empty."""

    day: date
    verdict: Verdict
    provenance: Provenance | None
    counts: Counts[int | None]
    eligible: bool
    reason: Reason


@dataclass(frozen=True)
class GateDecision:
    """The gate as of one day.

    ``counted`` holds the number of counted days (the last ``window_days`` days of the streak) per provenance.
    ``earliest_open_day`` is the first day on which the gate can be open if every later day is a live PASS; for an open
    gate, it is the day itself.
    """

    day: date
    state: GateState
    reason: Reason
    streak_days: int
    window_days: int
    counted: Mapping[Provenance, int]
    earliest_open_day: date
    window: tuple[WindowRow, ...]

    @property
    def live_days(self) -> int:
        """Counted days on which a live database was compared."""
        return self.counted[Provenance.LIVE]

    def closed_because(self, reason: Reason) -> GateDecision:
        """Return the same decision, but CLOSED for the given reason."""
        return replace(self, state=GateState.CLOSED, reason=reason)


def decide_gate(day: date, days: Mapping[date, DayEvidence], policy: GatePolicy) -> GateDecision:
    """Decide the gate as of ``day`` from the evidence of all known days (later ones are ignored)."""
    trail = _Trail({d: evidence for d, evidence in days.items() if d <= day})
    streak = _streak(day, trail)
    counted = _counted(day, streak, trail.days, policy)
    state, reason = _decide(day, streak, counted, trail, policy)
    window = tuple(
        trail.row(d, in_streak=d > day - timedelta(days=streak))
        for d in days_ending(day, max(SHOWN_DAYS, policy.window_days))
    )
    return GateDecision(
        day=day, state=state, reason=reason, streak_days=streak, window_days=policy.window_days, counted=counted,
        earliest_open_day=_earliest_open_day(day, streak, trail.days, policy), window=window,
    )


def valid_until(day: date) -> datetime:
    """Return the moment from which evidence of ``day`` is older than yesterday, too old for an open gate."""
    return midnight(day + timedelta(days=2))


class _Trail:
    """The evidence up to a day, with everything else that eligibility depends on."""

    def __init__(self, days: Mapping[date, DayEvidence]) -> None:
        compared = [d for d, evidence in days.items() if evidence.provenance.compared]
        self.days = days
        self.first_tenant_day = min((d for d, evidence in days.items() if evidence.saw_a_tenant), default=None)
        self.epoch = days[max(compared)].mapping_digest if compared else ""
        self.simulated = all(evidence.provenance is Provenance.SIMULATED for evidence in days.values())

    def why_not(self, day: date) -> Reason | None:
        """Return why a day does not count in the streak, None if it does."""
        evidence = self.days.get(day)
        if evidence is None:
            return Reason.word(ReasonCode.NO_REPORT, "no report")
        if evidence.verdict is not Verdict.PASS:
            return evidence.reason
        if evidence.provenance is Provenance.BASELINE:
            first = self.first_tenant_day
            if first is None or first > day:
                return None
            return Reason.word(
                ReasonCode.BASELINE_AFTER_TENANT, f"only a baseline, though a tenant was seen on {first}",
                first_tenant_day=first.isoformat())
        if evidence.provenance is Provenance.SIMULATED and not self.simulated:
            return Reason.word(ReasonCode.SIMULATED_IN_REAL_TRAIL, "simulated, in a trail that is not")
        if evidence.mapping_digest != self.epoch:
            return Reason.word(
                ReasonCode.OTHER_MAPPING,
                f"compared under another mapping (epoch {evidence.mapping_digest[:12]}, now {self.epoch[:12]})",
                mapping_digest=evidence.mapping_digest, current_mapping_digest=self.epoch)
        return None

    def row(self, day: date, *, in_streak: bool) -> WindowRow:
        """Return the window's row of a day."""
        evidence, why_not = self.days.get(day), self.why_not(day)
        reason = why_not or (
            Reason.word(ReasonCode.ELIGIBLE, "") if in_streak
            else Reason.word(ReasonCode.ELIGIBLE_BEFORE_STREAK, "clean, but a later day broke the streak"))
        if evidence is None:
            return WindowRow(day, Verdict.MISSING, None, Counts.unknown(), False, reason)
        return WindowRow(day, evidence.verdict, evidence.provenance, evidence.counts, why_not is None, reason)


def _streak(day: date, trail: _Trail) -> int:
    length = 0
    while trail.why_not(day - timedelta(days=length)) is None:
        length += 1
    return length


def _counted(day: date, streak: int, days: Mapping[date, DayEvidence], policy: GatePolicy) -> dict[Provenance, int]:
    counted = dict.fromkeys(Provenance, 0)
    for d in days_ending(day, min(streak, policy.window_days)):
        counted[days[d].provenance] += 1
    return counted


def _decide(
    day: date, streak: int, counted: Mapping[Provenance, int], trail: _Trail, policy: GatePolicy
) -> tuple[GateState, Reason]:
    window, live = policy.window_days, counted[Provenance.LIVE]
    provenances = {provenance.value: days for provenance, days in counted.items()}
    listed = ", ".join(f"{days} {name}" for name, days in provenances.items() if days or name in ("live", "baseline"))
    if streak < window:
        row = trail.row(day - timedelta(days=streak), in_streak=False)
        return GateState.CLOSED, Reason.word(
            ReasonCode.STREAK_TOO_SHORT, f"{streak} of {window} clean days: {row.day} {_why_broken(row)}",
            streak_days=streak, window_days=window, day=row.day.isoformat(), verdict=row.verdict.value,
            **row.reason.as_parameters())
    if live < policy.min_live_days:
        return GateState.CLOSED, Reason.word(
            ReasonCode.TOO_FEW_LIVE_DAYS,
            f"{window} clean days, but only {live} of the {policy.min_live_days} required live ones ({listed})",
            window_days=window, live_days=live, min_live_days=policy.min_live_days, counted=provenances)
    return GateState.OPEN, Reason.word(
        ReasonCode.WINDOW_CLEAN, f"{window} consecutive clean days ({listed})",
        window_days=window, counted=provenances)


def _why_broken(row: WindowRow) -> str:
    if row.verdict is not Verdict.PASS:
        return f"is {row.verdict.value}" + (f": {row.reason.sentence}" if row.reason.sentence else "")
    return f"{'was' if row.reason.code is ReasonCode.OTHER_MAPPING else 'is'} {row.reason.sentence}"


def _earliest_open_day(day: date, streak: int, days: Mapping[date, DayEvidence], policy: GatePolicy) -> date:
    # Whether each day of the streak is live, oldest first; each future day adds a live one at the end.
    live = [days[d].provenance is Provenance.LIVE for d in days_ending(day, streak)]
    ahead = 0
    # More than a whole window of live days cannot help: a policy that asks for more can never be met.
    while ahead < policy.window_days and (
        len(live) < policy.window_days or sum(live[-policy.window_days:]) < policy.min_live_days
    ):
        live.append(True)
        ahead += 1
    return day + timedelta(days=ahead)
