"""The forecast of a CLOSED gate: its sentence as a table, and its days against the gate itself.

Trails are those of ``test_gate``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgrecon_pipeline.domain.drift.kinds import Counts
from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.gate.decision import DayEvidence, decide_gate
from orgrecon_pipeline.domain.gate.forecast import Forecast, forecast_of
from orgrecon_pipeline.domain.gate.state import GateState
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.domain.reasons import Reason, ReasonCode, coverage_lost, drift
from orgrecon_pipeline_tests.domain.gate.test_decision import TODAY, trail

LOST = coverage_lost(["tenant 'acme'"], 1, None)
WEEK = "7 more clean live days (2026-03-02 to 2026-03-08)"


def failed(keys: int, tenants: int | None, oldest: date | None = None) -> DayEvidence:
    """Return a FAIL; a tenant gate knows no number of tenants."""
    reason = Reason.word(ReasonCode.TENANT_DRIFTS, "") if tenants is None else drift(keys, tenants, 12)
    return DayEvidence(TODAY, Verdict.FAIL, Provenance.LIVE, "epoch", True, reason=reason,
                       counts=Counts.of({"missing": keys}), oldest=oldest)


def undecided(reason: Reason) -> DayEvidence:
    return DayEvidence(TODAY, Verdict.INCONCLUSIVE, Provenance.LIVE, "epoch", True, reason=reason)


def forecast(days: Mapping[date, DayEvidence], policy: GatePolicy | None = None, **at_hand: str) -> Forecast:
    made = forecast_of(decide_gate(TODAY, days, policy or GatePolicy()), **at_hand)
    assert made is not None
    return made


CASES = [
    # days before today, today, what is still needed
    ("PPPPP", "P", "1 more clean live day (2026-03-02)"),
    ("", "P", "6 more clean live days (2026-03-02 to 2026-03-07)"),
    ("sssss", "s", "1 more clean day (2026-03-02)"),
    ("PPPPPP", failed(3, 2, date(2026, 2, 20)),
     f"{WEEK}; 3 keys in 2 tenants still drift, the oldest since 2026-02-20"),
    ("PPPPPP", failed(1, 1, TODAY), f"{WEEK}; 1 key in 1 tenant still drifts, the oldest since 2026-03-01"),
    # The ledger does not have all keys, or the report of a tenant was asked.
    ("PPPPPP", failed(3, 2), f"{WEEK}; 3 keys in 2 tenants still drift"),
    ("PPPPPP", failed(2, None), f"{WEEK}; 2 keys still drift"),
    ("PPPPPP", replace(failed(3, 2), reason=drift(3, 2, 12, LOST)),
     f"{WEEK}; 3 keys in 2 tenants still drift; missing coverage must be restored, or acknowledged with orgrecon "
     "acknowledge"),
    ("PPPPPP", undecided(LOST), f"{WEEK}; a clean run on 2026-03-01 is enough; missing coverage must be "
                                "restored, or acknowledged with orgrecon acknowledge"),
    ("PPPP", "I", f"{WEEK}; only 2 after a clean run on 2026-03-01; a comparison must complete"),
    ("PPPPPP", ".", f"{WEEK}; a clean run on 2026-03-01 is enough; 2026-03-01 has no report"),
    ("PPPPPP", "b", f"{WEEK}; a clean run on 2026-03-01 is enough; baselines no longer count, so a "
                    "database must be compared"),
    ("PFI", ".", f"{WEEK}; only 6 after a clean run on 2026-03-01; an unknown number of keys drifted on "
                 "2026-02-27, the latest day that was compared; 2026-03-01 has no report"),
]


@pytest.mark.parametrize(("before", "today", "sentence"), CASES)
def test_forecast_says_what_is_still_needed(before: str, today: str | DayEvidence, sentence: str) -> None:
    days = trail(before + (today if isinstance(today, str) else "."))
    if isinstance(today, DayEvidence):
        days[TODAY] = today
    else:
        days = {day: replace(e, counts=Counts.unknown()) if e.verdict is Verdict.FAIL else e for day, e in days.items()}
    assert forecast(days).sentence == sentence


def test_open_gate_has_no_forecast() -> None:
    assert forecast_of(decide_gate(TODAY, trail("P" * 7), GatePolicy())) is None


def test_forecast_of_gate_that_is_closed_for_another_reason_needs_no_days() -> None:
    unsound = Reason.word(ReasonCode.UNSOUND_TRAIL, "")
    made = forecast_of(decide_gate(TODAY, trail("P" * 7), GatePolicy()).closed_because(unsound))
    assert made is not None
    assert made.clean_days == 0
    assert made.sentence == "no more clean days are needed, but the problem in the reason must be resolved"


def test_forecast_under_another_mapping_counts_no_day_that_was_compared() -> None:
    made = forecast(trail("PPPPPP"), mapping_digest="next")
    assert made.clean_days == 7
    assert "another mapping" in made.sentence


POLICIES = st.builds(
    lambda window, live: GatePolicy(window_days=window, min_live_days=min(window, live)),
    st.integers(1, 9), st.integers(0, 9))


@given(st.text("PFIbrsme.", max_size=14), POLICIES, st.sampled_from([None, "epoch", "next"]))
def test_gate_opens_exactly_on_the_day_of_the_forecast(text: str, policy: GatePolicy, at_hand: str | None) -> None:
    days = trail(text)
    decision = decide_gate(TODAY, days, policy)
    made = forecast_of(decision, at_hand)
    if made is None:
        assert decision.state is GateState.OPEN
        return
    clean = DayEvidence(TODAY, Verdict.PASS, Provenance.SIMULATED if made.simulated else Provenance.LIVE,
                        at_hand or decision.epoch, not made.simulated)

    def opens(until: date, first: date) -> bool:
        added = {first + timedelta(days=n): clean for n in range((until - first).days + 1)}
        later = {**days, **{day: replace(clean, day=day) for day in added}}
        return decide_gate(until, later, policy).state is GateState.OPEN

    tomorrow = TODAY + timedelta(days=1)
    if policy.min_live_days and made.simulated:
        return  # no simulated day is live
    assert [opens(TODAY + timedelta(days=n), tomorrow) for n in range(1, made.clean_days + 1)] == [
        n == made.clean_days for n in range(1, made.clean_days + 1)]
    if made.after_rerun is not None:
        assert [opens(TODAY + timedelta(days=n), TODAY) for n in range(made.after_rerun + 1)] == [
            n == made.after_rerun for n in range(made.after_rerun + 1)]
