"""Notification events: the changes that are sent, and their texts."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.gate.decision import GateDecision
from orgrecon_pipeline.domain.gate.forecast import forecast_of
from orgrecon_pipeline.domain.gate.state import GateState
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.domain.integrity.chain import ChainHead
from orgrecon_pipeline.domain.reasons import counted
from orgrecon_pipeline.operations.gate.current_state import GATE_TOPIC, OPTIONAL_TOPICS, STREAK_TOPIC
from orgrecon_pipeline.operations.gate.opened_tenants import OpenedTenants
from orgrecon_pipeline.operations.gate.tenants import open_share

Severity = Literal["success", "info", "warning", "failure"]

_MAX_TEXT = 1_500
_MAX_NAME = 60

#: Maximum number of tenant names in a message.
MAX_NAMES = 10
_QUIET = (Verdict.PASS.value, Verdict.MISSING.value)

# A reason can contain a tenant's name, which must not mention people, link or format text in a chat.
_LOOK_ALIKES = str.maketrans("@<>[]`*~|", "＠‹›()'∗∼∣")


@dataclass(frozen=True)
class Event:
    """A message: ``title`` is one line, ``text`` a few lines; both are plain text without secrets."""

    severity: Severity
    title: str
    text: str


@dataclass(frozen=True)
class Subject:
    """What an event is about: a migration in an environment, and the ledger whose evidence it is, if there is any.

    ``chain`` is the head of the ledger's hash chain.
    """

    title: str
    identity: Identity
    ledger: str | None = None
    chain: ChainHead | None = None

    @property
    def heading(self) -> str:
        """The beginning of a message's title, as in ``Org Model v2.3 (prod)``."""
        return f"{self.title} ({self.identity.environment})" if self.identity.environment else self.title

    @property
    def line(self) -> str:
        """The last line of a message, as in ``org-v23 in prod, ledger 9f2c61d07a4be835, chain 12:4e0b…``."""
        ledger = f", ledger {self.ledger}" if self.ledger else ""
        chain = f", chain {self.chain}" if self.chain else ""
        return f"{self.identity}{ledger}{chain}"


def changes(notified: Mapping[str, str], states: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the new state of each topic whose state differs from the ``notified`` one.

    Returns:
        The changes to send (a verdict other than PASS, a gate that opened or closed, a streak that grew to a later
        day), and those to record only, so that a day that fails again is sent again.
    """
    changed = {topic: state for topic, state in states.items() if _differs(topic, notified.get(topic), state)}
    quiet = {topic: state for topic, state in changed.items() if state in _QUIET}
    return {topic: state for topic, state in changed.items() if topic not in quiet}, quiet


def initial_state(topic: str) -> str:
    """Return the state that a new channel is assumed to know; empty for the optional topics."""
    if topic in OPTIONAL_TOPICS:
        return ""
    return GateState.CLOSED.value if topic == GATE_TOPIC else Verdict.MISSING.value


def _differs(topic: str, notified: str | None, state: str) -> bool:
    known = initial_state(topic) if notified is None else notified
    # Each day of a streak is sent once, even if a rerun of the day breaks the streak and the next one restores it.
    return state > known if topic == STREAK_TOPIC else state != known


def verdict_event(subject: Subject, day: date, verdict: Verdict, reason: str, *more: str) -> Event:
    """Return the event for a day that became FAIL or INCONCLUSIVE; ``more`` are further lines of text."""
    severity: Severity = "failure" if verdict is Verdict.FAIL else "warning"
    return _event(subject, severity, f"{day} is {verdict.value}", reason, *more)


def gate_event(subject: Subject, gate: GateDecision, *more: str) -> Event:
    """Return the event for a gate that opened or closed; ``more`` are further lines of text."""
    if gate.state is GateState.OPEN:
        return _event(subject, "success", f"GATE OPEN as of {gate.day}", gate.reason.sentence, *more)
    return _event(
        subject, "warning", f"GATE CLOSED as of {gate.day}", gate.reason.sentence,
        f"Streak {gate.streak_days} of {gate.window_days}; it can open on {gate.earliest_open_day} at the earliest.",
        *more,
    )


def streak_event(subject: Subject, gate: GateDecision, *more: str) -> Event:
    """Return the event for a streak that grew while the gate is CLOSED; ``more`` are further lines of text."""
    days, forecast = min(gate.streak_days, gate.window_days), forecast_of(gate)
    return _event(
        subject, "info", f"day {days} of {gate.window_days} as of {gate.day}", gate.reason.sentence,
        f"Still needed: {forecast.sentence}." if forecast else "", *more)


def tenants_event(subject: Subject, tenants: OpenedTenants, company: GateDecision, *more: str) -> Event:
    """Return the event for tenants whose gate opened; ``more`` are further lines of text."""
    opened = tenants.opened
    names = ", ".join(_shortened(answer.tenant) for answer in opened)
    return _event(
        subject, "success", f"tenant gate opened for {counted(opened.count, 'tenant')} as of {company.day}",
        f"{names} and {opened.more} more" if opened.more else names,
        f"{open_share(tenants.ready, tenants.total)}.",
        f"The company's gate is {company.state.value}: {company.reason.sentence}", *more)


def _shortened(name: str) -> str:
    return name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME - 1]}…"


def run_failed_event(subject: Subject, job: str, day: str | None, reason: str) -> Event:
    """Return the event for a run that ended without a verdict; ``reason`` is one sanitised sentence."""
    return _event(subject, "failure", f"{job}{f' of {day}' if day else ''} failed", reason)


def _event(subject: Subject, severity: Severity, title: str, *lines: str) -> Event:
    text = "\n".join(plain_text(line) for line in lines if line)[:_MAX_TEXT]
    return Event(severity, plain_text(f"{subject.heading}: {title}")[:200], f"{text}\n{plain_text(subject.line)}")


def plain_text(text: str) -> str:
    """Return the text without mentions, links, formatting, and control or direction characters."""
    visible = "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in text)
    return " ".join(visible.split()).translate(_LOOK_ALIKES)
