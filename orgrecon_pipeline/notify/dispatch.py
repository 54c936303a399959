"""Dispatch of notifications: each channel gets each change once, whichever process notices the change.

The ledger stores what each channel knows; the difference from the current state is pending. See
``docs/decisions/notifications.md``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta
from functools import cached_property
from typing import NamedTuple

from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.days import parse_day, utc_day
from orgrecon_pipeline.domain.errors import AlreadyRunning
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.statements.append import Notified
from orgrecon_pipeline.notify.events import (
    MAX_NAMES,
    Event,
    Subject,
    changes,
    gate_event,
    initial_state,
    streak_event,
    tenants_event,
    verdict_event,
)
from orgrecon_pipeline.notify.notifier import Channel, Notifier
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.gate.current_state import (
    GATE_TOPIC,
    OPTIONAL_TOPICS,
    STREAK_TOPIC,
    TENANTS_TOPIC,
    CurrentState,
    current_state,
    state_before_run,
)
from orgrecon_pipeline.operations.gate.evidence_state import EvidenceState
from orgrecon_pipeline.operations.gate.opened_tenants import opened_since
from orgrecon_pipeline.operations.gate.sources import GateEvidence, evidence_of_context
from orgrecon_pipeline.report.file_names import file_name

#: Names the URL that precedes the file name of a report in a message. Without it, the message shows the report's path.
LINK_VARIABLE = "ORGRECON_REPORT_BASE_URL"

# How long to wait for another process that is notifying, in seconds: longer than the timeout of a notifier.
_LOCK_SECONDS = 25.0


@contextmanager
def notify_of_run(settings: Settings, day: date, say: Callable[[str], None]) -> Iterator[None]:
    """Send the changes that the block makes, and those that were pending before.

    They are also sent if the block raises, because its evidence may be stored. A failure to notify becomes a line for
    ``say``; it never reaches the caller.
    """
    notifier = Notifier.from_environ(settings.environ)
    if not notifier:
        yield
        return
    lines = set(notifier.unknown_kinds())
    with _collect_failures(lines):
        record_current_state(Context.from_settings(settings), notifier, (day,))
    try:
        yield
    finally:
        with _collect_failures(lines):
            link_base = settings.environ.get(LINK_VARIABLE, "")
            for line in send_pending(Context.from_settings(settings), notifier, link_base=link_base, also=(day,)):
                lines.add(f"{line} The next run sends it again.")
        for line in sorted(lines):
            say(line)


@contextmanager
def _collect_failures(lines: set[str]) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a notification must not change the outcome of the run
        lines.add(f"no notifications were sent: the ledger could not be read or written ({type(error).__name__}).")


def record_current_state(context: Context, notifier: Notifier, also: Collection[date] = ()) -> None:
    """Record, before a run, the current state of every topic that a channel does not know yet.

    From then on a change is pending, even if this process is killed before it can send it. ``also`` are days to include
    besides those of the last week.

    Raises:
        OrgreconError: if the ledger cannot be read or written.
    """
    if not notifier:
        return
    now = context.clock.now()
    states = {day.isoformat(): initial_state(day.isoformat()) for day in also}
    states |= state_before_run(context.ledger, context.mapping.gate, now, context.output_dir, also).states()
    if TENANTS_TOPIC in notifier.also:
        states[TENANTS_TOPIC] = EvidenceState.before_run(evidence_of_context(context)).as_text()
    with _notification_lock(context.ledger):
        known = context.ledger.last_notified()
        context.ledger.record_notified(
            Notified(channel.key, topic, state, now) for channel in notifier.channels
            for topic, state in _wanted(states, notifier).items() if (channel.key, topic) not in known)


def send_pending(
    context: Context, notifier: Notifier, *, link_base: str = "", also: Collection[date] = ()
) -> list[str]:
    """Send each channel its pending changes: days of the last week that became FAIL or INCONCLUSIVE, and the gate.

    If the notifier sends them, the changes include a streak that grew and tenants whose gate opened. A channel that the
    ledger does not know is assumed to know all days before yesterday, and a closed gate. The call takes at most 45
    seconds: it waits for another process that is notifying, and for the channels.

    Args:
        link_base: the URL that precedes the file name of a report.
        also: days to include besides those of the last week.

    Returns:
        One sanitised line for each channel that did not accept everything; the next call sends the rest again.

    Raises:
        OrgreconError: if the ledger cannot be read or written.
    """
    if not notifier:
        return []
    with _notification_lock(context.ledger):
        now = context.clock.now()
        current = current_state(
            context.ledger, context.mapping.gate, now, context.output_dir, also, context.mapping.digest)
        states, last_notified = _wanted(current.states(), notifier), context.ledger.last_notified()
        events, tenants = _events(context, current, link_base), _Tenants(context, current, link_base)
        yesterday = utc_day(now) - timedelta(days=1)
        old = {topic: state for topic, state in states.items()
               if topic not in (GATE_TOPIC, *OPTIONAL_TOPICS) and parse_day(topic) < yesterday}
        pending: dict[Channel, list[_Change]] = {}
        known = []
        for channel in notifier.channels:
            stored = {topic: state for (key, topic), state in last_notified.items() if key == channel.key}
            notified = {**old, **stored}
            changed, quiet = changes(notified, states)
            pending[channel] = [_Change(topic, changed[topic], events[topic]) for topic in sorted(changed)]
            if TENANTS_TOPIC in notifier.also:
                change, state = tenants.change_since(stored.get(TENANTS_TOPIC, ""))
                pending[channel] += [change] if change else []
                quiet |= {} if change or state == stored.get(TENANTS_TOPIC) else {TENANTS_TOPIC: state}
            # Store the previous state first, so that a change stays pending if the channel does not accept it.
            previous = {change.topic: notified.get(change.topic, initial_state(change.topic))
                        for change in pending[channel] if change.topic not in stored}
            known += [Notified(channel.key, topic, state, now) for topic, state in (*previous.items(), *quiet.items())]
        context.ledger.record_notified(known)
        accepted, lines = notifier.send_each({
            channel: [change.event for change in of_channel] for channel, of_channel in pending.items()})
        context.ledger.record_notified(
            Notified(channel.key, change.topic, change.state, now) for channel, of_channel in pending.items()
            for change in of_channel if change.event in accepted[channel])
        return lines


class _Change(NamedTuple):
    """The new state of a topic, and the event that a channel gets for it."""

    topic: str
    state: str
    event: Event


class _Tenants:
    """The changes of the tenant gates, decided once for all channels that know the same state."""

    def __init__(self, context: Context, current: CurrentState, link_base: str) -> None:
        self._context, self._gate, self._link_base = context, current.gate, link_base
        self._changes: dict[str, _Change | None] = {}

    @cached_property
    def _evidence(self) -> GateEvidence:
        return evidence_of_context(self._context)

    def change_since(self, notified: str) -> tuple[_Change | None, str]:
        """Return the change since the notified state, None if no gate of a tenant opened, and the current state."""
        state = EvidenceState.of(self._evidence).as_text()
        if notified not in self._changes:
            self._changes[notified] = None if notified == state else self._change(notified, state)
        return self._changes[notified], state

    def _change(self, notified: str, state: str) -> _Change | None:
        tenants = opened_since(EvidenceState.from_text(notified), self._evidence, MAX_NAMES)
        if not tenants.opened.count or self._gate is None:
            return None
        event = tenants_event(_subject(self._context), tenants, self._gate,
                              _report_line(self._context, self._link_base, self._gate.day))
        return _Change(TENANTS_TOPIC, state, event)


def _wanted(states: Mapping[str, str], notifier: Notifier) -> dict[str, str]:
    """Return the states of the topics that channels are notified of."""
    return {topic: state for topic, state in states.items() if topic not in OPTIONAL_TOPICS or topic in notifier.also}


def _events(context: Context, current: CurrentState, link_base: str) -> dict[str, Event]:
    """Return the event for each topic, pending or not, except the tenants."""
    subject, gate = _subject(context), current.gate
    events = {
        day.isoformat(): verdict_event(
            subject, day, evidence.verdict, evidence.reason.sentence, _report_line(context, link_base, day))
        for day, evidence in current.days.items()}
    if gate:
        report = _report_line(context, link_base, gate.day)
        events |= {GATE_TOPIC: gate_event(subject, gate, report), STREAK_TOPIC: streak_event(subject, gate, report)}
    return events


def _subject(context: Context) -> Subject:
    ledger = context.ledger
    return Subject(context.mapping.migration.title, ledger.identity, ledger.id, ledger.head())


def _report_line(context: Context, link_base: str, day: date) -> str:
    base = link_base.rstrip("/")
    return f"Report: {base}/{file_name(day)}" if base else f"Report: {context.output_dir / file_name(day)}"


@contextmanager
def _notification_lock(ledger: Ledger) -> Iterator[None]:
    """Wait for the notification lock, so that two processes do not send the same change."""
    end = time.monotonic() + _LOCK_SECONDS
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(ledger.notification_lock())
                break
            except AlreadyRunning:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)
        yield
