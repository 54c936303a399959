"""The 7-day zero-delta gate: which days are eligible, the streak, and the decision with its reason.

Everything here is a pure function of the evidence up to the day asked about. Evidence of later days never changes the
decision for an earlier day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from itertools import count
from typing import Protocol

from orgrecon_pipeline.domain.databases import Pins, describe_pin, pins_of
from orgrecon_pipeline.domain.days import days_ending, midnight
from orgrecon_pipeline.domain.drift.key import KeyState
from orgrecon_pipeline.domain.drift.kinds import Counts
from orgrecon_pipeline.domain.evidence import Provenance, SameDay, Verdict
from orgrecon_pipeline.domain.gate.day_decision import Rankable, deciding_observation, gate_policy_of, strictest
from orgrecon_pipeline.domain.gate.state import GateState
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.domain.reasons import Reason, ReasonCode

#: A report shows at least this many days.
SHOWN_DAYS = 7


class ChangeTotals(Protocol):
    """The part of a change of the drift that the gate needs; see :class:`orgrecon_pipeline.domain.evidence.Change`."""

    @property
    def first_seen(self) -> date | None: ...
    def total(self, state: KeyState) -> int | None: ...


class GateObservation(Rankable, Protocol):
    """The part of an observation that the gate needs."""

    @property
    def counts(self) -> Counts[int | None]: ...
    @property
    def why(self) -> Reason: ...
    @property
    def saw_a_tenant(self) -> bool: ...
    @property
    def change(self) -> ChangeTotals | None: ...


@dataclass(frozen=True, slots=True)
class DayEvidence:
    """One day as the gate needs it: its deciding observation, and the conditions of all its observations.

    Attributes:
        new, healed: keys by state, see :class:`KeyState`; None if they are unknown.
        oldest: the first day of the oldest drift that is still there, None if it is unknown.
        saw_a_tenant: whether any observation of the day found a tenant in a database of the company.
        databases: the databases that the deciding observation compared, by label; None if only a later window tells
            of the day.
        moved_from: databases that were replaced on this day, with a person's acceptance, by label: those with which
            the day began.
        first: whether the ledger knew of no earlier observation, and so of no tenant that could be lost.
        policy: the strictest policy under which the day was observed, None if no observation says.
        worst: the same day as ``same_day: worst`` decides it, None if that is no different.
    """

    day: date
    verdict: Verdict
    provenance: Provenance
    mapping_digest: str
    saw_a_tenant: bool
    reason: Reason = field(default_factory=lambda: Reason.word(ReasonCode.UNKNOWN, ""))
    counts: Counts[int | None] = field(default_factory=Counts.zero)
    new: int | None = None
    healed: int | None = None
    oldest: date | None = None
    databases: Pins | None = field(default_factory=dict, hash=False)
    moved_from: Pins = field(default_factory=dict, hash=False)
    first: bool = False
    policy: GatePolicy | None = None
    worst: DayEvidence | None = None

    @classmethod
    def of(cls, day: date, observations: Sequence[GateObservation]) -> DayEvidence:
        """Return the evidence of a day from all its observations, at least one, in the order of the ledger."""
        latest = cls._decided_by(day, observations, "latest")
        if len(observations) == 1:
            return latest
        worst = cls._decided_by(day, observations, "worst")
        return latest if latest == worst else replace(latest, worst=worst)

    @classmethod
    def _decided_by(cls, day: date, observations: Sequence[GateObservation], same_day: SameDay) -> DayEvidence:
        deciding = deciding_observation(observations, same_day)
        assert deciding is not None  # noqa: S101 - there is at least one observation
        policies = [policy for o in observations if (policy := gate_policy_of(o.compared))]
        return cls(
            day=day, verdict=deciding.verdict, provenance=deciding.provenance, mapping_digest=deciding.mapping_digest,
            saw_a_tenant=any(observation.saw_a_tenant for observation in observations),
            reason=deciding.why, counts=deciding.counts, new=_keys(deciding, KeyState.NEW),
            healed=_keys(deciding, KeyState.HEALED), oldest=deciding.change.first_seen if deciding.change else None,
            databases=pins_of(deciding.compared),
            moved_from={
                label: pin for o in reversed(observations) for label, pin in o.compared.get("moved_from", {}).items()},
            first=bool(deciding.compared.get("first_observation")),
            policy=strictest(policies) if policies else None)

    def under(self, policy: GatePolicy) -> DayEvidence:
        """Return the day as the policy's ``same_day`` decides it."""
        return self.worst if self.worst and policy.same_day == "worst" else self


@dataclass(frozen=True, slots=True)
class WindowRow:
    """One day of the rolling window. ``reason`` says why the day is not eligible; its sentence can be empty.

    ``oldest`` is the first day of the oldest drift that is still there, None if it is unknown.
    """

    day: date
    verdict: Verdict
    provenance: Provenance | None
    counts: Counts[int | None]
    eligible: bool
    reason: Reason
    new: int | None = None
    healed: int | None = None
    oldest: date | None = None


@dataclass(frozen=True, slots=True)
class GateDecision:
    """The gate as of one day.

    ``counted`` holds the number of counted days (the last ``window_days`` days of the streak) per provenance.
    ``earliest_open_day`` is the first day on which the gate can be open if every later day is a live PASS; for an open
    gate, it is the day itself. ``policy`` is the strictest of the policy at hand and of those under which the counted
    days were observed. ``epoch`` is the mapping digest that counts, empty if no day was compared.
    """

    day: date
    state: GateState
    reason: Reason
    streak_days: int
    policy: GatePolicy
    epoch: str
    counted: Mapping[Provenance, int]
    earliest_open_day: date
    window: tuple[WindowRow, ...]

    @property
    def window_days(self) -> int:
        """Consecutive clean days that the gate needs."""
        return self.policy.window_days

    @property
    def live_days(self) -> int:
        """Counted days on which a live database was compared."""
        return self.counted[Provenance.LIVE]

    def closed_because(self, reason: Reason) -> GateDecision:
        """Return the same decision, but CLOSED for the given reason."""
        return replace(self, state=GateState.CLOSED, reason=reason)


def decide_gate(day: date, days: Mapping[date, DayEvidence], policy: GatePolicy) -> GateDecision:
    """Decide the gate as of ``day`` from the evidence of all known days (later ones are ignored).

    The strictest of ``policy`` and of the policies under which the days of the window were observed applies.
    """
    policy = effective_policy(day, days, policy)
    trail = _Trail({d: evidence.under(policy) for d, evidence in days.items() if d <= day})
    streak = next(length for length in count() if trail.why_not(day - timedelta(days=length)))
    counted_days = days_ending(day, min(streak, policy.window_days))
    counted = dict.fromkeys(Provenance, 0) | Counter(trail.days[d].provenance for d in counted_days)
    state, reason = _decide(day, streak, counted, trail, policy)
    window = tuple(trail.row(d, in_streak=d > day - timedelta(days=streak))
                   for d in days_ending(day, max(SHOWN_DAYS, policy.window_days)))
    return GateDecision(
        day=day, state=state, reason=reason, streak_days=streak, policy=policy, epoch=trail.epoch, counted=counted,
        earliest_open_day=_earliest_open_day(day, streak, trail.days, policy), window=window)


def effective_policy(day: date, days: Mapping[date, DayEvidence], policy: GatePolicy) -> GatePolicy:
    """Return the strictest of a policy and of those under which the days of its window were observed."""
    while True:
        observed = (days[d].policy for d in days_ending(day, policy.window_days) if d in days)
        stricter = strictest([policy, *filter(None, observed)])
        if stricter == policy:
            return policy
        policy = stricter  # a longer window has more days, which may ask for more again


def valid_until(day: date) -> datetime:
    """Return the moment from which evidence of ``day`` is older than yesterday, too old for an open gate."""
    return midnight(day + timedelta(days=2))


class _Trail:
    """The evidence up to a day, with everything else that eligibility depends on."""

    def __init__(self, days: Mapping[date, DayEvidence]) -> None:
        backwards = sorted(days, reverse=True)
        latest_compared = next((d for d in backwards if days[d].provenance.compared), None)
        self.days = days
        self.epoch = days[latest_compared].mapping_digest if latest_compared else ""
        self._backwards = _databases_backwards(days)
        self._other_databases: dict[date, Reason | None] = {}

    # Most decisions need neither of these, and the trail can have thousands of days.
    @cached_property
    def first_tenant_day(self) -> date | None:
        return min((day for day, evidence in self.days.items() if evidence.saw_a_tenant), default=None)

    @cached_property
    def simulated(self) -> bool:
        return all(evidence.provenance is Provenance.SIMULATED for evidence in self.days.values())

    def why_not(self, day: date) -> Reason | None:
        """Return why a day does not count in the streak, None if it does."""
        evidence = self.days.get(day)
        if evidence is None:
            return Reason.word(ReasonCode.NO_REPORT, "no report")
        if evidence.verdict is not Verdict.PASS:
            return evidence.reason
        if evidence.provenance is Provenance.BASELINE:
            if (first := self.first_tenant_day) is None or first > day:
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
        if evidence.first and self.first_tenant_day is not None and self.first_tenant_day < day:
            return Reason.word(
                ReasonCode.OBSERVED_WITHOUT_HISTORY,
                f"observed without knowledge of the earlier days, though a tenant was seen on {self.first_tenant_day}: "
                "a loss since then would not show", first_tenant_day=self.first_tenant_day.isoformat())
        return self._other_database(day)

    def _other_database(self, day: date) -> Reason | None:
        # A trail can have thousands of days, of which a gate needs the last few.
        while day not in self._other_databases:
            earlier, reason = next(self._backwards)
            self._other_databases[earlier] = reason
        return self._other_databases[day]

    def row(self, day: date, *, in_streak: bool) -> WindowRow:
        """Return the window's row of a day."""
        evidence, why_not = self.days.get(day), self.why_not(day)
        reason = why_not or (
            Reason.word(ReasonCode.ELIGIBLE, "") if in_streak
            else Reason.word(ReasonCode.ELIGIBLE_BEFORE_STREAK, "clean, but a later day broke the streak"))
        if evidence is None:
            return WindowRow(day, Verdict.MISSING, None, Counts.unknown(), False, reason)
        return WindowRow(day, evidence.verdict, evidence.provenance, evidence.counts, why_not is None, reason,
                         evidence.new, evidence.healed, evidence.oldest)


def _keys(observation: GateObservation, state: KeyState) -> int | None:
    return observation.change.total(state) if observation.change else None


def other_databases(days: Mapping[date, DayEvidence]) -> dict[date, Reason]:
    """Return the days whose databases are not those of the latest decided day, with the reason.

    Where a person accepted a move, the days before it must be of the database that was replaced.
    """
    return {day: reason for day, reason in _databases_backwards(days) if reason}


def _databases_backwards(days: Mapping[date, DayEvidence]) -> Iterator[tuple[date, Reason | None]]:
    """Yield every day, latest first, with the reason of :func:`other_databases` or None."""
    expected: Pins = {}
    for day in sorted(days, reverse=True):
        evidence, reason = days[day], None
        if evidence.provenance.real and evidence.verdict.decided and evidence.databases is not None:
            expected = expected or evidence.databases
            labels = sorted(expected.keys() | evidence.databases.keys())
            pins = ((label, evidence.databases.get(label), expected.get(label)) for label in labels)
            reason = next((_other_database(*pair) for pair in pins if pair[1] != pair[2]), None)
            expected = {**expected, **evidence.moved_from}
        yield day, reason


def _other_database(label: str, pin: dict[str, str] | None, pinned: dict[str, str] | None) -> Reason:
    was = f"compared {label} {describe_pin(pin)}" if pin else f"compared, but its report does not name {label}"
    return Reason.word(
        ReasonCode.OTHER_DATABASE,
        f"{was}, while the later evidence is from {describe_pin(pinned) if pinned else 'no such database'}",
        label=label, database=pin, pinned=pinned)


def _decide(day: date, streak: int, counted: Mapping[Provenance, int], trail: _Trail,
            policy: GatePolicy) -> tuple[GateState, Reason]:
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
    live = [days[d].provenance is Provenance.LIVE for d in days_ending(day, streak)]
    return day + timedelta(days=days_until_open(live, policy))


def days_until_open(live: Sequence[bool], policy: GatePolicy) -> int:
    """Return how many clean live days a gate needs after a streak; ``live`` has a value for each day of the streak."""
    live, ahead = list(live), 0
    # More than a whole window of live days cannot help: a policy that asks for more can never be met.
    while ahead < policy.window_days and (
        len(live) < policy.window_days or sum(live[-policy.window_days:]) < policy.min_live_days
    ):
        live.append(True)
        ahead += 1
    return ahead
