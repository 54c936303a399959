"""What is told: every change once, and nothing else, in words that a chat cannot be tricked with."""

from __future__ import annotations

import pytest

from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.gate import decide_gate
from orgrecon_pipeline.domain.mapping import GatePolicy
from orgrecon_pipeline.notify.events import changes, gate_event, plain, run_failed_event, verdict_event
from orgrecon_pipeline_tests.support.report.cases import DAY, clean_week, observation

FAIL, INCONCLUSIVE = Verdict.FAIL, Verdict.INCONCLUSIVE
TOPIC = DAY.isoformat()


@pytest.mark.parametrize(("told", "state", "news"), [
    (None, "PASS", False), (None, "FAIL", True), (None, "INCONCLUSIVE", True), ("MISSING", "FAIL", True),
    ("PASS", "FAIL", True), ("INCONCLUSIVE", "FAIL", True), ("PASS", "PASS", False), ("FAIL", "FAIL", False),
    ("INCONCLUSIVE", "INCONCLUSIVE", False), ("FAIL", "PASS", False), ("INCONCLUSIVE", "PASS", False),
    ("FAIL", "INCONCLUSIVE", True),
])
def test_a_verdict_other_than_pass_is_news_when_it_comes_about(told: str | None, state: str, news: bool) -> None:
    loud, quiet = changes({TOPIC: told} if told else {}, {TOPIC: state})
    assert loud == ({TOPIC: state} if news else {})
    # It got better: nobody is told, and it is known, so that the next FAIL is news again.
    assert quiet == ({TOPIC: state} if not news and told != state else {})


@pytest.mark.parametrize(("told", "state", "news"), [
    (None, "CLOSED", False), (None, "OPEN", True), ("CLOSED", "OPEN", True), ("OPEN", "CLOSED", True),
    ("OPEN", "OPEN", False), ("CLOSED", "CLOSED", False),
])
def test_the_gate_is_news_whenever_it_changes(told: str | None, state: str, news: bool) -> None:
    assert changes({"gate": told} if told else {}, {"gate": state}) == ({"gate": state} if news else {}, {})


def test_what_is_said_of_a_day_and_of_the_gate() -> None:
    opened, broken = clean_week(), clean_week()
    broken.add(observation(verdict=FAIL, hour=9))
    of_day = verdict_event(DAY, FAIL, "1 drifting key", "Report: x")
    assert (of_day.severity, of_day.title, of_day.text) == \
        ("failure", f"Org Model v2.3: {DAY} is FAIL", "1 drifting key\nReport: x")
    assert verdict_event(DAY, INCONCLUSIVE, "why").severity == "warning"
    told = gate_event(decide_gate(DAY, opened.evidence(GatePolicy()), GatePolicy()), "Report: https://example.com/r.md")
    assert (told.title, told.severity) == (f"Org Model v2.3: GATE OPEN as of {DAY}", "success")
    assert told.text == "7 consecutive clean days (7 live, 0 baseline)\nReport: https://example.com/r.md"
    closed = gate_event(decide_gate(DAY, broken.evidence(GatePolicy()), GatePolicy()))
    assert (closed.title, closed.severity) == (f"Org Model v2.3: GATE CLOSED as of {DAY}", "warning")
    assert "Streak 0 of 7" in closed.text


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
