"""Notification events: which changes are sent, and texts that cannot trigger anything in a chat."""

from __future__ import annotations

import pytest

from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.gate.decision import decide_gate
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.notify.events import Subject, changes, gate_event, plain_text, run_failed_event, verdict_event
from orgrecon_pipeline_tests.support.report.cases import DAY, clean_week, observation

SUBJECT = Subject("Org Model v2.3", Identity("org-v23", "prod"), "0123456789abcdef")
LINE = "org-v23 in prod, ledger 0123456789abcdef"
FAIL, INCONCLUSIVE = Verdict.FAIL, Verdict.INCONCLUSIVE
TOPIC = DAY.isoformat()


@pytest.mark.parametrize(("notified", "state", "sent"), [
    (None, "PASS", False), (None, "FAIL", True), (None, "INCONCLUSIVE", True), ("MISSING", "FAIL", True),
    ("PASS", "FAIL", True), ("INCONCLUSIVE", "FAIL", True), ("PASS", "PASS", False), ("FAIL", "FAIL", False),
    ("INCONCLUSIVE", "INCONCLUSIVE", False), ("FAIL", "PASS", False), ("INCONCLUSIVE", "PASS", False),
    ("FAIL", "INCONCLUSIVE", True),
])
def test_day_that_becomes_fail_or_inconclusive_is_sent(notified: str | None, state: str, sent: bool) -> None:
    pending, quiet = changes({TOPIC: notified} if notified else {}, {TOPIC: state})
    assert pending == ({TOPIC: state} if sent else {})
    # An improvement is recorded but not sent, so that the next FAIL is sent again.
    assert quiet == ({TOPIC: state} if not sent and notified != state else {})


@pytest.mark.parametrize(("notified", "state", "sent"), [
    (None, "CLOSED", False), (None, "OPEN", True), ("CLOSED", "OPEN", True), ("OPEN", "CLOSED", True),
    ("OPEN", "OPEN", False), ("CLOSED", "CLOSED", False),
])
def test_gate_that_opens_or_closes_is_sent(notified: str | None, state: str, sent: bool) -> None:
    assert changes({"gate": notified} if notified else {}, {"gate": state}) == ({"gate": state} if sent else {}, {})


def test_event_texts_of_a_day_and_of_the_gate() -> None:
    clean, failing = clean_week(), clean_week()
    failing.add(observation(verdict=FAIL, hour=9))
    day_event = verdict_event(SUBJECT, DAY, FAIL, "1 key drifts", "Report: x")
    assert (day_event.severity, day_event.title, day_event.text) == \
        ("failure", f"Org Model v2.3 (prod): {DAY} is FAIL", f"1 key drifts\nReport: x\n{LINE}")
    assert verdict_event(SUBJECT, DAY, INCONCLUSIVE, "why").severity == "warning"
    opened = gate_event(SUBJECT, decide_gate(DAY, clean.evidence(), GatePolicy()), "Report: https://example.com/r.md")
    assert (opened.title, opened.severity) == (f"Org Model v2.3 (prod): GATE OPEN as of {DAY}", "success")
    assert opened.text == "7 consecutive clean days (7 live, 0 baseline)\nReport: https://example.com/r.md\n" + LINE
    closed = gate_event(SUBJECT, decide_gate(DAY, failing.evidence(), GatePolicy()))
    assert (closed.title, closed.severity) == (f"Org Model v2.3 (prod): GATE CLOSED as of {DAY}", "warning")
    assert "Streak 0 of 7" in closed.text


@pytest.mark.parametrize("name", [
    "<!channel>", "@everyone", "[you won](https://evil.example)", "`rm -rf`", "a\nGATE OPEN", "\u202egnp", "\x1b[31m",
    "**bold**", "||spoiler||", "\x00", "a\u2028b",
])
def test_name_in_a_text_is_neutralised(name: str) -> None:
    text = verdict_event(SUBJECT, DAY, FAIL, f"coverage lost: tenant {name}").text
    assert text.count("\n") == 1
    assert not set(text) & set("@<>[]`*|\x00\x1b\u202e\u2028")


def test_text_is_truncated_and_an_ordinary_text_is_unchanged() -> None:
    event = run_failed_event(SUBJECT, "orgrecon_day", str(DAY), "x" * 10_000)
    assert len(event.text) < 2_000
    assert event.title == f"Org Model v2.3 (prod): orgrecon_day of {DAY} failed"
    assert plain_text("8 keys drift in 2 of 12 tenants; org_units, (a/b).md") == \
        "8 keys drift in 2 of 12 tenants; org_units, (a/b).md"
