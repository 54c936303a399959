"""Telling every change once, whoever notices it: a run as it ends, or a sensor that passes by.

What each channel was told last is a fact of the ledger, and what is to be told is the difference between that and how
the evidence stands. A message that a channel did not take is owed to that channel, and to nobody else, until it does.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta

from orgrecon_pipeline.domain.days import parse_day, utc_day
from orgrecon_pipeline.domain.errors import AlreadyRunning
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.notifications import Notified
from orgrecon_pipeline.notify.events import Event, at_first, changes, gate_event, verdict_event
from orgrecon_pipeline.notify.notifier import Notifier
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.gate.current_state import GATE_TOPIC, CurrentState, current_state, state_before_run
from orgrecon_pipeline.report.file_names import file_name

#: What stands before a report's name in a message; without it the report's path is told.
LINK_VARIABLE = "ORGRECON_REPORT_BASE_URL"

# How long somebody else may be telling, in seconds: more than a notifier's patience.
_OTHERS = 25.0


def remember(work: Context, notifier: Notifier, also: Collection[date] = ()) -> None:
    """Before a run: what is known of no channel yet is taken for told as the evidence stands.

    From here on a change is owed, even when this process is killed before it can tell it.

    Args:
        work: ledger, rules, clock and audit directory.
        notifier: the channels; without any nothing is read or kept.
        also: days that are looked at beside those of the last week.

    Raises:
        OrgreconError: when the evidence cannot be read, or what is known not be kept.
    """
    if not notifier:
        return
    now = work.clock.now()
    states = {day.isoformat(): at_first(day.isoformat()) for day in also}
    states |= state_before_run(work.ledger, work.mapping.gate, now, work.output_dir, also).states()
    with _turn(work.ledger):
        known = work.ledger.last_notified()
        work.ledger.record_notified(
            Notified(channel.key, topic, state, now) for channel in notifier.channels for topic, state in states.items()
            if (channel.key, topic) not in known)


def tell(work: Context, notifier: Notifier, *, link_base: str = "", also: Collection[date] = ()) -> list[str]:
    """Send each channel what changed since it was told last: a verdict of the last week that came to be FAIL or
    INCONCLUSIVE, and the gate where it opened or closed.

    Of a channel of which nothing is known, days before yesterday are taken for told, and the gate for closed. It waits
    for whoever else is telling, and for the channels: 45 seconds in all at most.

    Args:
        work: ledger, rules, clock and audit directory.
        notifier: the channels; without any nothing is read.
        link_base: what stands before a report's name.
        also: days that are looked at beside those of the last week.

    Returns:
        One sanitised line for each channel that did not take everything: call it again, later.

    Raises:
        OrgreconError: when the evidence cannot be read, or what was told not be kept.
    """
    if not notifier:
        return []
    with _turn(work.ledger):
        now = work.clock.now()
        standing = current_state(work.ledger, work.mapping.gate, now, also)
        states, known, keep = standing.states(), work.ledger.last_notified(), []
        owed = {}
        for channel in notifier.channels:
            mine = {topic: state for (key, topic), state in known.items() if key == channel.key}
            told = {**_long_told(states, utc_day(now)), **mine}
            owed[channel], quiet = changes(told, states)
            # What was known until now comes first: the news of a topic that a channel does not take stays owed.
            first = {topic: told.get(topic, at_first(topic)) for topic in owed[channel] if topic not in mine}
            keep += [Notified(channel.key, topic, state, now) for topic, state in (*first.items(), *quiet.items())]
        work.ledger.record_notified(keep)
        news = _news(work, standing, link_base)
        taken, lines = notifier.send_each({
            channel: [news[topic] for topic in sorted(topics)] for channel, topics in owed.items()})
        work.ledger.record_notified(
            Notified(channel.key, topic, state, now) for channel, topics in owed.items()
            for topic, state in topics.items() if news[topic] in taken[channel])
        return lines


def _long_told(states: Mapping[str, str], today: date) -> dict[str, str]:
    """The states of days that nobody is told of any more who was never told of them."""
    yesterday = today - timedelta(days=1)
    return {topic: state for topic, state in states.items() if topic != GATE_TOPIC and parse_day(topic) < yesterday}


def _news(work: Context, standing: CurrentState, link_base: str) -> dict[str, Event]:
    """What there is to say of each topic, whether or not anybody has to hear it."""

    def report(day: date) -> str:
        base = link_base.rstrip("/")
        return f"Report: {base}/{file_name(day)}" if base else f"Report: {work.output_dir / file_name(day)}"

    news = {
        day.isoformat(): verdict_event(day, seen.verdict, seen.reason, report(day))
        for day, seen in standing.days.items()
    }
    if standing.gate:
        news[GATE_TOPIC] = gate_event(standing.gate, report(standing.gate.day))
    return news


@contextmanager
def _turn(ledger: Ledger) -> Iterator[None]:
    """One teller at a time: two that look at once would both find the same news."""
    end = time.monotonic() + _OTHERS
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
