"""The gate: streak, live days, earliest opening day and reason, as one table of cases that a founder can read.

A trail is one character per day, oldest first, and ends with the day asked about:
``P`` live PASS · ``F`` live FAIL · ``I`` live INCONCLUSIVE · ``b`` baseline PASS · ``r`` restored PASS ·
``s`` simulated PASS · ``m`` live PASS under another mapping · ``e`` live PASS of an empty cluster · ``.`` MISSING.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from orgrecon_pipeline.domain.drift.kinds import Counts
from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.gate.decision import DayEvidence, decide_gate
from orgrecon_pipeline.domain.gate.state import GateState
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.domain.reasons import ReasonCode

TODAY = date(2026, 3, 1)  # the day after 28 February

_DAYS = {
    "P": (Verdict.PASS, Provenance.LIVE, "epoch", True),
    "F": (Verdict.FAIL, Provenance.LIVE, "epoch", True),
    "I": (Verdict.INCONCLUSIVE, Provenance.LIVE, "epoch", False),
    "b": (Verdict.PASS, Provenance.BASELINE, "epoch", False),
    "r": (Verdict.PASS, Provenance.RESTORED, "epoch", True),
    "s": (Verdict.PASS, Provenance.SIMULATED, "epoch", True),
    "m": (Verdict.PASS, Provenance.LIVE, "other", True),
    "e": (Verdict.PASS, Provenance.LIVE, "epoch", False),
}


def trail(text: str) -> dict[date, DayEvidence]:
    days = {}
    for back, letter in enumerate(reversed(text)):
        if letter != ".":
            day = TODAY - timedelta(days=back)
            verdict, provenance, digest, saw = _DAYS[letter]
            days[day] = DayEvidence(day, verdict, provenance, digest, saw)
    return days


CLEAN, OPEN, CLOSED = GatePolicy(), "OPEN", "CLOSED"
LIVE_3 = GatePolicy(min_live_days=3)
LIVE_7 = GatePolicy(min_live_days=7)

CASES = [
    # trail, policy, state, streak, live days, days until it opens, part of the reason
    ("PPPPPPP", CLEAN, OPEN, 7, 7, 0, "7 consecutive clean days (7 live, 0 baseline)"),
    ("PPPPPPPPPP", CLEAN, OPEN, 10, 7, 0, "7 consecutive"),
    ("PPPPPP", CLEAN, CLOSED, 6, 6, 1, "2026-02-23 is MISSING"),
    ("P", CLEAN, CLOSED, 1, 1, 6, "1 of 7 clean days"),
    ("", CLEAN, CLOSED, 0, 0, 7, "2026-03-01 is MISSING"),
    ("PPPPPPF", CLEAN, CLOSED, 0, 0, 7, "2026-03-01 is FAIL"),
    ("PPPPPPI", CLEAN, CLOSED, 0, 0, 7, "2026-03-01 is INCONCLUSIVE"),
    ("PPPPPP.", CLEAN, CLOSED, 0, 0, 7, "2026-03-01 is MISSING"),
    ("PPPPPP.P", CLEAN, CLOSED, 1, 1, 6, "2026-02-28 is MISSING"),
    ("FPPPPPPP", CLEAN, OPEN, 7, 7, 0, "7 consecutive"),
    ("PFPPPPPP", CLEAN, CLOSED, 6, 6, 1, "2026-02-23 is FAIL"),
    ("PPPIPPP", CLEAN, CLOSED, 3, 3, 4, "2026-02-26 is INCONCLUSIVE"),
    # Baselines count before the first tenant, but not after.
    ("bbbbbbb", CLEAN, OPEN, 7, 0, 0, "7 baseline"),
    ("bbbbbbb", LIVE_3, CLOSED, 7, 0, 3, "only 0 of the 3 required live ones"),
    ("bbbPPPP", CLEAN, OPEN, 7, 4, 0, "4 live, 3 baseline"),
    ("bbbPPPP", LIVE_7, CLOSED, 7, 4, 3, "only 4 of the 7 required live ones"),
    ("PbPPPPPPP", CLEAN, OPEN, 7, 7, 0, "7 consecutive"),
    ("PPPbPPP", CLEAN, CLOSED, 3, 3, 4, "only a baseline, though a tenant was seen on 2026-02-23"),
    ("PPPPPPb", CLEAN, CLOSED, 0, 0, 7, "2026-03-01 is only a baseline"),
    ("eebeeeb", CLEAN, OPEN, 7, 5, 0, "5 live, 2 baseline"),
    ("Fbbbbbbb", CLEAN, CLOSED, 0, 0, 7, "though a tenant was seen"),
    # Restored days count, but not as live days.
    ("PPPrPPP", CLEAN, OPEN, 7, 6, 0, "6 live, 0 baseline, 1 restored"),
    ("PPPrPPP", LIVE_7, CLOSED, 7, 6, 4, "only 6 of the 7 required live ones"),
    # Simulated days count only in a simulated trail.
    ("sssssss", CLEAN, OPEN, 7, 0, 0, "7 simulated"),
    ("ssssssP", CLEAN, CLOSED, 1, 1, 6, "is simulated, in a trail that is not"),
    ("Psssssss", CLEAN, CLOSED, 0, 0, 7, "is simulated, in a trail that is not"),
    ("b" + "s" * 7, CLEAN, CLOSED, 0, 0, 7, "is simulated, in a trail that is not"),
    # Another mapping is another epoch.
    ("mmmmmmP", CLEAN, CLOSED, 1, 1, 6, "compared under another mapping (epoch other, now epoch)"),
    ("PPPPPPm", CLEAN, CLOSED, 1, 1, 6, "compared under another mapping"),
    ("mPPPPPPP", CLEAN, OPEN, 7, 7, 0, "7 consecutive"),
    # Other windows.
    ("PPP", GatePolicy(window_days=3), OPEN, 3, 3, 0, "3 consecutive clean days"),
    ("P" * 13, GatePolicy(window_days=14), CLOSED, 13, 13, 1, "13 of 14 clean days"),
]


@pytest.mark.parametrize(("text", "policy", "state", "streak", "live", "opens_in", "reason"), CASES)
def test_gate_of_a_trail_follows_the_table(
    text: str, policy: GatePolicy, state: str, streak: int, live: int, opens_in: int, reason: str
) -> None:
    decision = decide_gate(TODAY, trail(text), policy)
    assert (decision.state, decision.streak_days, decision.live_days) == (GateState(state), streak, live)
    assert decision.earliest_open_day == TODAY + timedelta(days=opens_in)
    assert reason in decision.reason.sentence
    assert len(decision.window) == max(7, policy.window_days)


@pytest.mark.parametrize("letter", sorted(_DAYS))
def test_later_evidence_does_not_change_an_earlier_decision(letter: str) -> None:
    days = trail("bPPFPPP" + letter)
    until = TODAY - timedelta(days=1)
    before = {day: evidence for day, evidence in days.items() if day <= until}
    assert decide_gate(until, days, CLEAN) == decide_gate(until, before, CLEAN)


def test_gate_opens_on_the_promised_earliest_day() -> None:
    """Append live PASS days to every case: the gate opens exactly on the earliest opening day."""
    for text, policy, *_ in CASES:
        if "s" in text:  # live days do not continue a simulated trail
            continue
        promised = decide_gate(TODAY, trail(text), policy).earliest_open_day
        days = trail(text)
        epoch = days[max(days)].mapping_digest if days else "epoch"
        day = TODAY
        while decide_gate(day, days, policy).state is GateState.CLOSED:
            day += timedelta(days=1)
            days[day] = DayEvidence(day, Verdict.PASS, Provenance.LIVE, epoch, True)
        assert day == promised, text


@pytest.mark.timeout(10)
def test_policy_that_can_never_be_met_keeps_the_gate_closed() -> None:
    """Validation refuses such a policy, but a copy is not validated: the gate must neither open nor hang."""
    decision = decide_gate(TODAY, trail("P" * 7), CLEAN.model_copy(update={"min_live_days": 8}))
    assert decision.state is GateState.CLOSED
    assert "only 7 of the 8 required live ones" in decision.reason.sentence


def test_missing_day_in_the_window_has_no_provenance_and_no_counts() -> None:
    row = decide_gate(TODAY, trail("P.P"), CLEAN).window[-2]
    assert (row.verdict, row.provenance, row.eligible) == (Verdict.MISSING, None, False)
    assert row.counts == Counts.unknown()
    assert row.reason.code is ReasonCode.NO_REPORT


def test_window_gives_a_reason_for_every_day() -> None:
    decision = decide_gate(TODAY, trail("Pmb.FPP"), CLEAN)
    assert [row.reason.code.value for row in decision.window] == [
        "eligible_before_streak", "other_mapping", "baseline_after_tenant", "no_report", "unknown", "eligible",
        "eligible",
    ]
    assert [row.eligible for row in decision.window] == [True, False, False, False, False, True, True]


def test_reason_of_a_short_streak_has_the_reason_of_the_day_that_broke_it() -> None:
    decision = decide_gate(TODAY, trail("PPPPmPP"), CLEAN)
    assert decision.reason.code is ReasonCode.STREAK_TOO_SHORT
    assert decision.reason.parameters == {
        "streak_days": 2, "window_days": 7, "day": "2026-02-27", "verdict": "PASS", "reason_code": "other_mapping",
        "reason_parameters": {"mapping_digest": "other", "current_mapping_digest": "epoch"},
    }


def with_policy(text: str, policies: dict[int, GatePolicy]) -> dict[date, DayEvidence]:
    """Return the trail; ``policies`` gives the policy of single days, counted back from the last one."""
    days = trail(text)
    return {day: replace(evidence, policy=policies.get((TODAY - day).days)) for day, evidence in days.items()}


@pytest.mark.parametrize(("text", "policies", "at_hand", "state", "reason"), [
    ("P" * 7, {}, CLEAN, OPEN, "7 consecutive"),
    ("P" * 7, {0: GatePolicy(window_days=14)}, CLEAN, CLOSED, "7 of 14 clean days"),
    ("P" * 7, {6: GatePolicy(window_days=14)}, CLEAN, CLOSED, "7 of 14 clean days"),
    ("P" * 14, {6: GatePolicy(window_days=14)}, CLEAN, OPEN, "14 consecutive"),
    ("P" * 8, {7: GatePolicy(window_days=14)}, CLEAN, OPEN, "7 consecutive"),  # older than the window
    # A longer window has more days, which can ask for more again.
    ("P" * 14, {6: GatePolicy(window_days=10), 9: GatePolicy(window_days=20)}, CLEAN, CLOSED, "14 of 20 clean days"),
    ("bPPPPPP", {3: GatePolicy(min_live_days=7)}, CLEAN, CLOSED, "only 6 of the 7 required live ones"),
    ("bPPPPPP", {6: GatePolicy(min_live_days=7)}, CLEAN, CLOSED, "only 6 of the 7 required live ones"),
    ("bPPPPPP", {0: GatePolicy(min_live_days=6)}, CLEAN, OPEN, "6 live, 1 baseline"),
    # The policy at hand is the stricter one.
    ("P" * 7, {0: CLEAN}, GatePolicy(window_days=8), CLOSED, "7 of 8 clean days"),
])
def test_strictest_policy_of_the_counted_days_applies(
    text: str, policies: dict[int, GatePolicy], at_hand: GatePolicy, state: str, reason: str
) -> None:
    decision = decide_gate(TODAY, with_policy(text, policies), at_hand)
    assert decision.state is GateState(state)
    assert reason in decision.reason.sentence


def test_day_that_was_observed_under_worst_is_decided_by_its_worst_observation() -> None:
    days = trail("P" * 7)
    failed = replace(days[TODAY], verdict=Verdict.FAIL)
    days[TODAY] = replace(days[TODAY], worst=failed)
    assert decide_gate(TODAY, days, CLEAN).state is GateState.OPEN
    strict = TODAY - timedelta(days=3)
    days[strict] = replace(days[strict], policy=GatePolicy(same_day="worst"))
    assert decide_gate(TODAY, days, CLEAN).state is GateState.CLOSED


def on_databases(text: str, moves: dict[int, str]) -> dict[date, DayEvidence]:
    """Return live PASS days; a letter of ``text`` is the day's database, ``moves`` the one replaced on a day."""
    days = trail("P" * len(text))

    def pins(letter: str) -> dict[str, dict[str, str]]:
        return {"source": {"system_identifier": "1", "database": letter}} if letter else {}

    return {
        day: replace(evidence, databases=pins(text[-1 - (TODAY - day).days].strip()),
                     moved_from=pins(moves.get((TODAY - day).days, "")))
        for day, evidence in days.items()
    }


@pytest.mark.parametrize(("text", "moves", "streak"), [
    ("AAAAAAA", {}, 7),
    ("AAABAAA", {}, 3),                 # a staging report among those of production
    ("AAAAAAB", {}, 1),                 # the newest report is of another database
    ("AAAABBB", {}, 3),                 # moved, but nobody accepted it
    ("AAAABBB", {2: "A"}, 7),           # moved and accepted
    ("AAAABBB", {2: "C"}, 3),           # another move was accepted
    ("AAABBCC", {3: "A", 1: "B"}, 7),   # moved twice
    ("AAABBAA", {3: "A", 1: "B"}, 7),   # moved, and back
    ("AAABBAA", {1: "B"}, 4),
    ("AAA AAA", {}, 3),                 # a live report that names no database
    ("BBBAAAAAAA", {}, 7),              # an old move, never accepted, is out of the window
])
def test_counted_days_are_of_the_pinned_database_or_of_one_that_was_replaced(
    text: str, moves: dict[int, str], streak: int
) -> None:
    decision = decide_gate(TODAY, on_databases(text, moves), CLEAN)
    assert decision.streak_days == streak
    assert (decision.state is GateState.OPEN) == (streak >= 7)
    if streak < 7:
        assert decision.reason.parameters["reason_code"] == ReasonCode.OTHER_DATABASE


@pytest.mark.parametrize(("text", "counts"), [("PPPPPPP", False), ("P", True), ("bbbbbbP", True), ("eeeP", True)])
def test_first_observation_of_a_ledger_does_not_count_after_a_tenant_was_seen(text: str, counts: bool) -> None:
    """A ledger that was lost knew of no tenant that could be missing; the earlier days were imported later."""
    days = trail(text)
    days[TODAY] = replace(days[TODAY], first=True)
    decision = decide_gate(TODAY, days, CLEAN)
    assert decision.window[-1].eligible is counts
    if not counts:
        assert decision.window[-1].reason.code is ReasonCode.OBSERVED_WITHOUT_HISTORY
