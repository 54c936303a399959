"""What is worth telling somebody, and in which words."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.gate import GateDecision, GateState
from orgrecon_pipeline.operations.gate.current_state import GATE_TOPIC

Severity = Literal["success", "info", "warning", "failure"]

_MAX_TEXT = 1_500
_QUIET = (Verdict.PASS.value, Verdict.MISSING.value)

# A tenant's name can be part of a reason. In a chat it must neither call people, nor link, nor look like code.
_HARMLESS = str.maketrans({"@": "＠", "<": "‹", ">": "›", "[": "(", "]": ")", "`": "'", "*": "∗", "~": "∼", "|": "∣"})


@dataclass(frozen=True)
class Event:
    """One thing that happened. ``title`` is a line and ``text`` a few; both are plain text and name no secret."""

    severity: Severity
    title: str
    text: str


def changes(told: Mapping[str, str], states: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """What became of each topic since somebody was told ``told``, by topic the state that it has now.

    Returns:
        What has to be told, a verdict other than PASS or a gate that opened or closed; and what has only to be known,
        so that a day that gets worse again is news again.
    """
    changed = {topic: state for topic, state in states.items() if told.get(topic, at_first(topic)) != state}
    quiet = {topic: state for topic, state in changed.items() if state in _QUIET}
    return {topic: state for topic, state in changed.items() if topic not in quiet}, quiet


def at_first(topic: str) -> str:
    """What somebody knows who was told nothing yet."""
    return GateState.CLOSED.value if topic == GATE_TOPIC else Verdict.MISSING.value


def verdict_event(day: date, verdict: Verdict, reason: str, *more: str) -> Event:
    """A day has a verdict that somebody has to look at; ``more`` are further lines."""
    severity: Severity = "failure" if verdict is Verdict.FAIL else "warning"
    return _event(severity, f"Org Model v2.3: {day} is {verdict.value}", reason, *more)


def gate_event(gate: GateDecision, *more: str) -> Event:
    """The gate opened or closed; ``more`` are further lines."""
    if gate.state is GateState.OPEN:
        return _event("success", f"Org Model v2.3: GATE OPEN as of {gate.day}", gate.reason, *more)
    return _event(
        "warning", f"Org Model v2.3: GATE CLOSED as of {gate.day}", gate.reason,
        f"Streak {gate.streak_days} of {gate.window_days}; it can open on {gate.earliest_open_day} at the earliest.",
        *more,
    )


def run_failed_event(job: str, day: str | None, reason: str) -> Event:
    """A run ended without a verdict; ``reason`` is one sanitised sentence."""
    return _event("failure", f"Org Model v2.3: {job}{f' of {day}' if day else ''} failed", reason)


def _event(severity: Severity, title: str, *lines: str) -> Event:
    return Event(severity, plain(title)[:200], "\n".join(plain(line) for line in lines if line)[:_MAX_TEXT])


def plain(text: str) -> str:
    """A text without what a chat would act upon: mentions, links, formatting, control and direction characters."""
    visible = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    return " ".join(visible.split()).translate(_HARMLESS)
