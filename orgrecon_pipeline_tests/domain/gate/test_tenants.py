"""The tenant gate as a table of trails, and random histories against an independent oracle.

A trail is one character per day, oldest first, and ends with the day asked about. What it says is about the tenant
``acme``; other tenants exist all the time:
``P`` PASS · ``O`` FAIL of another tenant · ``F`` FAIL of acme · ``I`` INCONCLUSIVE · ``.`` MISSING · ``b`` baseline ·
``m`` PASS under another mapping · ``T`` FAIL whose list of drifting tenants is cut off before acme · ``L`` FAIL of
another tenant on a day on which coverage was lost · ``X`` FAIL of another tenant with keys in flux ·
``A`` acme arrives, PASS · ``D`` acme departs, PASS.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgrecon_pipeline.domain.coverage import CoverageChange
from orgrecon_pipeline.domain.drift.kinds import Counts
from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.gate.decision import DayEvidence, decide_gate
from orgrecon_pipeline.domain.gate.tenants import Presence, TenantObservation, evidence_of_tenant
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.domain.reasons import Reason, ReasonCode

TODAY = date(2026, 3, 1)
APPEARED, DEPARTED = CoverageChange.APPEARED, CoverageChange.DEPARTED
LOST = Reason.word(ReasonCode.COVERAGE_LOST, "lost", lost=["tenant 'x'"], lost_count=1)
TWO_MISSING = Counts.of({"missing": 2})
ONE_MISSING = Counts.of({"missing": 1})


@dataclass(frozen=True)
class Observed:
    """An observation of the whole company."""

    id: str
    verdict: Verdict
    observed_at: datetime | None
    why: Reason
    provenance: Provenance = Provenance.LIVE
    mapping_digest: str = "epoch"
    counts: Counts[int | None] = field(default_factory=Counts.zero)
    compared: dict[str, Any] = field(default_factory=dict)
    saw_a_tenant: bool = True
    change: None = None

    @property
    def reason_code(self) -> ReasonCode:
        return self.why.code


def observation(letter: str, day: date, hour: int = 8) -> TenantObservation:
    moment = datetime.combine(day, time(hour), timezone.utc)
    verdict = {"I": Verdict.INCONCLUSIVE}.get(letter, Verdict.FAIL if letter in "OFTLX" else Verdict.PASS)
    parameters = {"also": LOST.as_parameters()} if letter == "L" else {}
    reason = Reason.word(ReasonCode.DRIFT if verdict is Verdict.FAIL else ReasonCode.UNKNOWN, "sentence", **parameters)
    drifting = {"O": {"globex": ONE_MISSING}, "F": {"acme": TWO_MISSING}, "T": {"globex": ONE_MISSING},
                "L": {"globex": ONE_MISSING}, "X": {"globex": ONE_MISSING}}.get(letter, {})
    return TenantObservation(
        Observed(
            f"{day}-{hour}-{letter}", verdict, None if letter == "b" else moment, reason,
            provenance=Provenance.BASELINE if letter == "b" else Provenance.LIVE,
            mapping_digest="other" if letter == "m" else "epoch", saw_a_tenant=letter not in "Ib",
            compared={"keys_in_flux": 1} if letter == "X" else {}),
        drifting, complete=letter != "T")


def history(trail: str) -> tuple[Presence, dict[date, list[TenantObservation]]]:
    """Return the presence of acme, and the observations of each day; a day in parentheses has several."""
    days: dict[date, list[TenantObservation]] = {}
    groups: list[str] = []
    rest = trail
    while rest:
        end = rest.index(")") if rest[0] == "(" else 0
        groups.append(rest[1:end] if end else rest[0])
        rest = rest[end + 1:]
    changes = []
    for back, letters in enumerate(reversed(groups)):
        day = TODAY - timedelta(days=back)
        if letters != ".":
            days[day] = [observation(letter, day, hour) for hour, letter in enumerate(letters, start=1)]
        changes += [(day, APPEARED if letter == "A" else DEPARTED) for letter in letters if letter in "AD"]
    if not changes or min(changes)[1] is DEPARTED:
        changes.append((TODAY - timedelta(days=500), APPEARED))
    return Presence.of(sorted(changes, key=lambda change: change[0])), days


CASES = [
    # trail, state, streak, the code of the reason why the next day does not count
    ("PPPPPPP", "OPEN", 7, None),
    ("OOOOOOO", "OPEN", 7, None),
    ("OPOPOPO", "OPEN", 7, None),
    ("FPPPPPP", "CLOSED", 6, "tenant_drifts"),
    ("FOOOOOOO", "OPEN", 7, None),
    ("OOOOOOF", "CLOSED", 0, "tenant_drifts"),
    ("OOOIOOO", "CLOSED", 3, "unknown"),
    ("OOO.OOO", "CLOSED", 3, "no_report"),
    ("mmmOOOO", "CLOSED", 4, "other_mapping"),
    ("bbbOOOO", "CLOSED", 4, "tenant_not_compared"),
    ("bbbbbbb", "CLOSED", 0, "tenant_not_compared"),
    # Evidence that leaves out this tenant, or decides nothing about it.
    ("TOOOOOO", "CLOSED", 6, "tenant_not_listed"),
    ("OOOOOOT", "CLOSED", 0, "tenant_not_listed"),
    ("OOOLOOO", "CLOSED", 3, "coverage_lost"),
    ("OOOXOOO", "CLOSED", 3, "keys_in_flux"),
    # The tenant arrives, leaves and returns.
    ("PAPPPPP", "CLOSED", 6, "tenant_absent"),
    ("PPAOOOOOO", "OPEN", 7, None),
    ("PPPPPPD", "CLOSED", 0, "tenant_departed"),
    ("PPPDPPP", "CLOSED", 0, "tenant_departed"),
    ("PPDPAPP", "CLOSED", 3, "tenant_departed"),
    ("DPAPPPPPP", "OPEN", 7, None),
    ("PPPPPP(DA)", "CLOSED", 0, "tenant_departed"),
    ("PPPPPP(AD)", "CLOSED", 0, "tenant_departed"),
    # Reruns of a day.
    ("PPPPPP(FO)", "OPEN", 7, None),
    ("PPPPPP(OF)", "CLOSED", 0, "tenant_drifts"),
    ("PPPPPP(FP)", "OPEN", 7, None),
    ("PPPPPP(PF)", "CLOSED", 0, "tenant_drifts"),
    ("PPPPPP(FI)", "CLOSED", 0, "tenant_drifts"),
    ("PPPPPP(Fm)", "CLOSED", 0, "tenant_drifts"),
    ("PPPPPP(PT)", "CLOSED", 0, "tenant_not_listed"),
    ("PPPPPP(TP)", "OPEN", 7, None),
    ("PPPPPP(PL)", "CLOSED", 0, "coverage_lost"),
]


@pytest.mark.parametrize(("trail", "state", "streak", "code"), CASES)
def test_tenant_gate_follows_its_table_of_trails(trail: str, state: str, streak: int, code: str | None) -> None:
    presence, days = history(trail)
    decision = decide_gate(TODAY, evidence_of_tenant("acme", presence, days), GatePolicy())
    assert (decision.state.value, decision.streak_days) == (state, streak)
    if code:
        assert decision.reason.parameters["reason_code"] == code


def test_tenant_gate_of_worst_policy_counts_every_drift_of_the_day() -> None:
    presence, days = history("PPPPPP(FP)")
    decision = decide_gate(TODAY, evidence_of_tenant("acme", presence, days), GatePolicy(same_day="worst"))
    assert decision.state.value == "CLOSED"
    assert decision.streak_days == 0


def test_tenant_gate_of_unknown_tenant_is_closed_and_says_so() -> None:
    _, days = history("PPPPPPP")
    decision = decide_gate(TODAY, evidence_of_tenant("nobody", Presence(), days), GatePolicy())
    assert decision.state.value == "CLOSED"
    assert decision.reason.parameters["reason_code"] == "tenant_unknown"


@given(st.lists(st.sampled_from("POFI.bmTLXAD"), min_size=1, max_size=14))
def test_tenant_gate_of_random_trail_equals_oracle(letters: list[str]) -> None:
    trail = "".join(letters)
    presence, days = history(trail)
    decision = decide_gate(TODAY, evidence_of_tenant("acme", presence, days), GatePolicy())
    assert decision.streak_days == _streak_of_oracle(trail)
    assert (decision.state.value == "OPEN") == (decision.streak_days >= 7)


def _streak_of_oracle(trail: str) -> int:
    """Return the streak, computed letter by letter."""
    moves = [letter for letter in trail if letter in "AD"]
    present = not moves or moves[0] == "D"
    clean = []
    for letter in trail:
        present = {"A": True, "D": False}.get(letter, present)
        clean.append(present and letter in "POAD")
    compared = [letter for letter in trail if letter not in ".b"]
    epoch = "m" if compared and compared[-1] == "m" else "other"
    if epoch == "m":
        clean = [letter == "m" and _present_at(trail, position) for position, letter in enumerate(trail)]
    streak = 0
    for day in reversed(clean):
        if not day:
            break
        streak += 1
    return streak


def _present_at(trail: str, position: int) -> bool:
    moves = [letter for letter in trail if letter in "AD"]
    until = [letter for letter in trail[:position + 1] if letter in "AD"]
    return until[-1] == "A" if until else not moves or moves[0] == "D"


def test_tenant_gate_of_day_that_stays_inconclusive_for_the_company_is_closed() -> None:
    presence, days = history("PPPPPP(XIP)")
    in_flux, left, again = days[TODAY]
    departed = Reason.word(ReasonCode.TOO_MANY_DEPARTURES, "left")
    coverage = {"coverage": {"left_count": 9, "left_too_many": True}}
    days[TODAY] = [in_flux, replace(left, observed=replace(left.observed, why=departed)),
                   replace(again, observed=replace(again.observed, compared=coverage))]
    assert DayEvidence.of(TODAY, [item.observed for item in days[TODAY]]).verdict is Verdict.INCONCLUSIVE
    decision = decide_gate(TODAY, evidence_of_tenant("acme", presence, days), GatePolicy())
    assert decision.streak_days == 0
    assert decision.reason.parameters["reason_code"] == "too_many_departures"


def test_presence_after_lost_coverage_is_unchanged() -> None:
    presence = Presence.of([(TODAY, APPEARED), (TODAY, CoverageChange.LOST)])
    assert presence.why_absent(TODAY) is None


CUT_OFF = {"coverage": {"left_count": 101, "left": [f"t{number}" for number in range(100)]}}


@pytest.mark.parametrize(("compared", "own_days", "state"), [
    ({}, (), "OPEN"),
    ({"coverage": {"left_count": 1, "left": ["x"]}}, (), "OPEN"),
    (CUT_OFF, (), "CLOSED"),
    (CUT_OFF, (3,), "CLOSED"),  # the days before the ledger's own comparison stay unknown
    (CUT_OFF, (7,), "OPEN"),
    ({"coverage": {"acknowledged": [f"tenant t{number}" for number in range(100)]}}, (), "CLOSED"),
    ({"coverage": {"lost_count": 1, "left_count": 101, "left": []}}, (), "OPEN"),  # a loss lets nothing depart
])
def test_tenant_gate_after_imported_departures_that_are_cut_off_is_closed(
    compared: dict[str, Any], own_days: tuple[int, ...], state: str
) -> None:
    presence, days = history("P" * 8)
    first, *_ = sorted(days)
    narrowed = {}
    for day, of_day in days.items():
        observed = replace(of_day[0].observed, compared=compared if day == first else {})
        own = (day - first).days in own_days or (7 in own_days and day > first)
        narrowed[day] = [TenantObservation.of_rows(observed, {}, 0, own=own)]
    decision = decide_gate(TODAY, evidence_of_tenant("acme", presence, narrowed), GatePolicy())
    assert decision.state.value == state
