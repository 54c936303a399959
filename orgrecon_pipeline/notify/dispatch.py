"""Dispatch of notifications: each channel gets each change once, whichever process notices the change.

The ledger stores what each channel knows; the difference from the current state is pending. See
``docs/decisions/notifications.md``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta

from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.days import parse_day, utc_day
from orgrecon_pipeline.domain.errors import AlreadyRunning
from orgrecon_pipeline.ledger.append import Notified
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.notify.events import Event, Subject, changes, gate_event, initial_state, verdict_event
from orgrecon_pipeline.notify.notifier import Notifier
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.gate.current_state import GATE_TOPIC, CurrentState, current_state, state_before_run
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
    lines: set[str] = set()
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
    with _notification_lock(context.ledger):
        known = context.ledger.last_notified()
        context.ledger.record_notified(
            Notified(channel.key, topic, state, now) for channel in notifier.channels for topic, state in states.items()
            if (channel.key, topic) not in known)


def send_pending(
    context: Context, notifier: Notifier, *, link_base: str = "", also: Collection[date] = ()
) -> list[str]:
    """Send each channel its pending changes: days of the last week that became FAIL or INCONCLUSIVE, and the gate.

    A channel that the ledger does not know is assumed to know all days before yesterday, and a closed gate. The call
    takes at most 45 seconds: it waits for another process that is notifying, and for the channels.

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
        states, last_notified = current.states(), context.ledger.last_notified()
        yesterday = utc_day(now) - timedelta(days=1)
        old = {topic: state for topic, state in states.items() if topic != GATE_TOPIC and parse_day(topic) < yesterday}
        pending, known = {}, []
        for channel in notifier.channels:
            stored = {topic: state for (key, topic), state in last_notified.items() if key == channel.key}
            notified = {**old, **stored}
            pending[channel], quiet = changes(notified, states)
            # Store the previous state first, so that a change stays pending if the channel does not accept it.
            previous = {topic: notified.get(topic, initial_state(topic))
                        for topic in pending[channel] if topic not in stored}
            known += [Notified(channel.key, topic, state, now) for topic, state in (*previous.items(), *quiet.items())]
        context.ledger.record_notified(known)
        events = _events(context, current, link_base)
        accepted, lines = notifier.send_each({
            channel: [events[topic] for topic in sorted(topics)] for channel, topics in pending.items()})
        context.ledger.record_notified(
            Notified(channel.key, topic, state, now) for channel, topics in pending.items()
            for topic, state in topics.items() if events[topic] in accepted[channel])
        return lines


def _events(context: Context, current: CurrentState, link_base: str) -> dict[str, Event]:
    """Return the event for each topic, pending or not."""

    def report(day: date) -> str:
        base = link_base.rstrip("/")
        return f"Report: {base}/{file_name(day)}" if base else f"Report: {context.output_dir / file_name(day)}"

    ledger = context.ledger
    subject = Subject(context.mapping.migration.title, ledger.identity, ledger.id, ledger.head())
    events = {
        day.isoformat(): verdict_event(subject, day, evidence.verdict, evidence.reason.sentence, report(day))
        for day, evidence in current.days.items()}
    if current.gate:
        events[GATE_TOPIC] = gate_event(subject, current.gate, report(current.gate.day))
    return events


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
