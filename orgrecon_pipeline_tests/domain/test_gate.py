"""Streak, live days, earliest opening day and reason, as one table of cases that a founder can read.

A trail is written as one character a day, oldest first, ending with the day asked about:
``P`` live PASS · ``F`` live FAIL · ``I`` live INCONCLUSIVE · ``b`` baseline PASS · ``r`` restored PASS ·
``s`` simulated PASS · ``m`` live PASS under another mapping · ``e`` live PASS of an empty cluster · ``.`` MISSING.
"""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from orgrecon_pipeline.domain.drift_kinds import Counts
from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.gate import DayEvidence, GateState, decide_gate
from orgrecon_pipeline.domain.mapping import GatePolicy

TODAY = date(2026, 3, 1)  # the day after 28 February: months end where they end

_KINDS_OF_DAY = {
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
            verdict, provenance, digest, saw = _KINDS_OF_DAY[letter]
            days[day] = DayEvidence(day, verdict, provenance, digest, saw)
    return days


CLEAN, OPEN, CLOSED = GatePolicy(), "OPEN", "CLOSED"
LIVE_3 = GatePolicy(min_live_days=3)
LIVE_7 = GatePolicy(min_live_days=7)

CASES = [
    # trail, policy, state, streak, live, opens in (days), a piece of the reason
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
    # Baselines fill the days before the first tenant, and none after.
    ("bbbbbbb", CLEAN, OPEN, 7, 0, 0, "7 baseline"),
    ("bbbbbbb", LIVE_3, CLOSED, 7, 0, 3, "only 0 of the 3 required live ones"),
    ("bbbPPPP", CLEAN, OPEN, 7, 4, 0, "4 live, 3 baseline"),
    ("bbbPPPP", LIVE_7, CLOSED, 7, 4, 3, "only 4 of the 7 required live ones"),
    ("PbPPPPPPP", CLEAN, OPEN, 7, 7, 0, "7 consecutive"),
    ("PPPbPPP", CLEAN, CLOSED, 3, 3, 4, "only a baseline, though a tenant was seen on 2026-02-23"),
    ("PPPPPPb", CLEAN, CLOSED, 0, 0, 7, "2026-03-01 is only a baseline"),
    ("eebeeeb", CLEAN, OPEN, 7, 5, 0, "5 live, 2 baseline"),
    ("Fbbbbbbb", CLEAN, CLOSED, 0, 0, 7, "though a tenant was seen"),
    # Restored days count, but are no live days.
    ("PPPrPPP", CLEAN, OPEN, 7, 6, 0, "6 live, 0 baseline, 1 restored"),
    ("PPPrPPP", LIVE_7, CLOSED, 7, 6, 4, "only 6 of the 7 required live ones"),
    # Simulated days count only among themselves.
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
def test_gate(text: str, policy: GatePolicy, state: str, streak: int, live: int, opens_in: int, reason: str) -> None:
    judged = decide_gate(TODAY, trail(text), policy)
    assert (judged.state, judged.streak_days, judged.live_days) == (GateState(state), streak, live)
    assert judged.earliest_open_day == TODAY + timedelta(days=opens_in)
    assert reason in judged.reason.sentence
    assert len(judged.window) == max(7, policy.window_days)


@pytest.mark.parametrize("letter", sorted(_KINDS_OF_DAY))
def test_later_evidence_never_changes_what_was_said_of_a_day(letter: str) -> None:
    days = trail("bPPFPPP" + letter)
    until = TODAY - timedelta(days=1)
    before = {day: seen for day, seen in days.items() if day <= until}
    assert decide_gate(until, days, CLEAN) == decide_gate(until, before, CLEAN)


def test_the_earliest_opening_day_is_the_day_on_which_it_opens() -> None:
    """Append live PASS days to every case: the gate opens on exactly the day that was promised."""
    for text, policy, *_ in CASES:
        if "s" in text:  # a simulated trail goes on with simulated days
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
def test_a_policy_that_can_never_be_met_is_judged_all_the_same() -> None:
    """Validation refuses it, but a copy is not validated: it must neither open nor hang."""
    judged = decide_gate(TODAY, trail("P" * 7), CLEAN.model_copy(update={"min_live_days": 8}))
    assert judged.state is GateState.CLOSED
    assert "only 7 of the 8 required live ones" in judged.reason.sentence


def test_a_missing_day_has_neither_provenance_nor_counts() -> None:
    row = decide_gate(TODAY, trail("P.P"), CLEAN).window[-2]
    assert (row.verdict, row.provenance, row.eligible) == (Verdict.MISSING, None, False)
    assert row.counts == Counts.unknown()
