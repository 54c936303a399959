"""What is told: every change once, and nothing else, in words that a chat cannot be tricked with."""

from __future__ import annotations

from pathlib import Path

import pytest

from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.gate import judge
from orgrecon_pipeline.domain.mapping import GatePolicy
from orgrecon_pipeline.notify.events import events_of, plain, run_failed_event, verdict_event
from orgrecon_pipeline.operations.standing import Standing
from orgrecon_pipeline_tests.report.report_cases import DAY, History, clean_week, observation

PASS, FAIL, INCONCLUSIVE, MISSING = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.MISSING


def standing(history: History) -> Standing:
    policy = GatePolicy()
    days = history.evidence(policy)
    seen = days.get(DAY)
    return Standing(
        DAY, seen.verdict if seen else MISSING, seen.reason if seen else "",
        judge(max(days), days, policy) if days else None, Path("reports") / f"{DAY}.md")


def of_day(verdict: Verdict) -> Standing:
    """One day alone: the gate stays closed."""
    return standing(History() if verdict is MISSING else History([observation(verdict=verdict)]))


@pytest.mark.parametrize(("before", "after", "told"), [
    (MISSING, PASS, False), (MISSING, FAIL, True), (MISSING, INCONCLUSIVE, True), (PASS, FAIL, True),
    (INCONCLUSIVE, FAIL, True), (PASS, PASS, False), (FAIL, FAIL, False), (INCONCLUSIVE, INCONCLUSIVE, False),
    (FAIL, PASS, False), (INCONCLUSIVE, PASS, False), (FAIL, INCONCLUSIVE, True),
])
def test_a_verdict_other_than_pass_is_told_when_it_comes_about(before: Verdict, after: Verdict, told: bool) -> None:
    events = events_of(of_day(before), of_day(after))
    assert [event.title for event in events] == [f"Org Model v2.3: {DAY} is {after.value}"] * told
    for event in events:
        assert event.severity == {FAIL: "failure", INCONCLUSIVE: "warning"}[after]
        assert of_day(after).reason in event.text
        assert event.text.endswith(f"Report: reports/{DAY}.md")


def test_the_gate_is_told_when_it_opens_and_when_it_closes() -> None:
    six, seven, broken = clean_week(), clean_week(), clean_week()
    del six.by_day[DAY]
    broken.add(observation(verdict=FAIL, hour=9))
    [opened] = events_of(standing(six), standing(seven), link="https://example.com/r.md")
    assert (opened.title, opened.severity) == (f"Org Model v2.3: GATE OPEN as of {DAY}", "success")
    assert opened.text == "7 consecutive clean days (7 live, 0 baseline)\nReport: https://example.com/r.md"
    verdict, closed = events_of(standing(seven), standing(broken))
    assert (closed.title, closed.severity) == (f"Org Model v2.3: GATE CLOSED as of {DAY}", "warning")
    assert "Streak 0 of 7" in closed.text
    assert verdict.title.endswith("FAIL")
    assert events_of(standing(seven), standing(seven)) == events_of(standing(broken), standing(broken)) == []


def test_nothing_at_all_is_a_closed_gate_that_nobody_has_to_be_told_of() -> None:
    assert events_of(standing(History()), standing(History())) == []
    assert events_of(standing(History()), of_day(PASS)) == []
    [event] = events_of(standing(History()), standing(clean_week(Provenance.BASELINE)))
    assert "0 live, 7 baseline" in event.text


@pytest.mark.parametrize("name", [
    "<!channel>", "@everyone", "[you won](https://evil.example)", "`rm -rf`", "a\nGATE OPEN", "\u202egnp", "\x1b[31m",
    "**bold**", "||spoiler||", "\x00", "a\u2028b",
])
def test_a_name_is_data(name: str) -> None:
    text = verdict_event(DAY, FAIL, f"coverage lost: tenant {name}").text
    assert "\n" not in text
    assert not set(text) & set("@<>[]`*|\x00\x1b\u202e\u2028")


def test_texts_are_bounded_and_ordinary_ones_stay_as_they_are() -> None:
    event = run_failed_event("orgrecon_day", str(DAY), "x" * 10_000)
    assert len(event.text) < 2_000
    assert event.title == f"Org Model v2.3: orgrecon_day of {DAY} failed"
    assert plain("8 drifting keys in 2 of 12 tenants; org_units, (a/b).md") == \
        "8 drifting keys in 2 of 12 tenants; org_units, (a/b).md"
