"""Sending of events through Apprise to Slack, Teams, mail, webhooks and many others.

Channel URLs are secrets, because many contain a token. Messages show only their scheme.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from orgrecon_pipeline.domain.reasons import counted

if TYPE_CHECKING:
    from apprise import Apprise

    from orgrecon_pipeline.notify.events import Event

URLS_VARIABLE = "ORGRECON_NOTIFY_URLS"

#: Names the optional kinds of events to send: their topics, separated by white space or commas.
ALSO_VARIABLE = "ORGRECON_NOTIFY_ALSO"

#: How long a run waits for all channels together, in seconds.
TIMEOUT = 20.0

# A URL can contain commas. A comma that separates two URLs is followed by the scheme of the second.
_SEPARATOR = re.compile(r"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*://)|\s+")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31})://")

_INVALID_URL = "Apprise does not support such a URL: correct it"

# Apprise and its HTTP libraries log URLs.
_LOGGERS = ("apprise", "urllib3", "requests", "httpx")


@dataclass(frozen=True)
class Channel:
    """A channel URL with its position in the list."""

    number: int
    url: str = field(repr=False)

    @property
    def name(self) -> str:
        """The name that messages show, without the URL."""
        scheme = _SCHEME.match(self.url)
        return f"channel {self.number} ({scheme[1].lower() if scheme else 'no scheme'})"

    @cached_property
    def key(self) -> str:
        """The name in the ledger: a slow, stable hash of the URL."""
        return hashlib.scrypt(self.url.encode(), salt=b"orgrecon channel", n=2**14, r=8, p=1, dklen=8).hex()


class Notifier:
    """Sender of events to the channels of ``ORGRECON_NOTIFY_URLS``; false if there are none."""

    def __init__(self, urls: str, also: str = "", *, timeout: float = TIMEOUT) -> None:
        """
        Args:
            urls: Apprise URLs, separated by white space or commas.
            also: the value of :data:`ALSO_VARIABLE`.
            timeout: how long one :meth:`send` waits for all channels together, in seconds.
        """
        parts = (part.strip(",") for part in _SEPARATOR.split(urls.strip()))
        self.channels = [Channel(number, url) for number, url in enumerate(filter(None, parts), start=1)]
        named = also.lower().replace(",", " ").split()
        self.also = frozenset(named).intersection(_optional_topics()) if named else frozenset()
        self._unknown = len(set(named) - self.also)
        self._timeout = timeout

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], urls_variable: str = URLS_VARIABLE) -> Notifier:
        """Return the notifier for the variables of an environment."""
        return cls(environ.get(urls_variable, ""), environ.get(ALSO_VARIABLE, ""))

    def __bool__(self) -> bool:
        return bool(self.channels)

    def __repr__(self) -> str:
        return f"<Notifier: {counted(len(self.channels), 'channel')}>"

    def unknown_kinds(self) -> list[str]:
        """Return one line if :data:`ALSO_VARIABLE` names kinds of events that do not exist, without their names."""
        if not self._unknown:
            return []
        # A name may be a channel's URL in the wrong variable.
        names = counted(self._unknown, "unknown kind")
        return [f"{ALSO_VARIABLE} names {names} of events: use {' or '.join(_optional_topics())}, or both."]

    def problems(self) -> list[str]:
        """Return one sanitised line for each invalid setting. Nothing is sent."""
        _silence_loggers()
        return [*self.unknown_kinds(), *(f"{channel.name} of {URLS_VARIABLE}: {_INVALID_URL}"
                for channel in self.channels if not _is_supported(channel.url))]

    def send(self, events: Sequence[Event]) -> list[str]:
        """Send every event to every channel; return one sanitised line for each that did not accept everything."""
        return self.send_each(dict.fromkeys(self.channels, events))[1]

    def send_each(self, events: Mapping[Channel, Sequence[Event]]) -> tuple[dict[Channel, list[Event]], list[str]]:
        """Send each channel its own events.

        A failure of a channel never raises. Events that are not delivered within the timeout may still be delivered
        later.

        Returns:
            The events that each channel accepted, and one sanitised line for each that did not accept everything.
        """
        accepted: dict[Channel, list[Event]] = {channel: [] for channel in events}
        waiting = [channel for channel in events if events[channel]]
        if not waiting:
            return accepted, []
        _silence_loggers()
        outcomes: dict[Channel, str] = {}

        def deliver(channel: Channel) -> None:
            # The traceback of an error inside Apprise would show the URL.
            try:
                outcomes[channel] = _deliver(channel.url, events[channel], accepted[channel])
            except Exception as error:  # a plugin can raise anything
                outcomes[channel] = f"sending failed ({type(error).__name__})"

        # Daemon threads, so that a channel that never answers does not keep the process alive.
        threads = [threading.Thread(target=deliver, args=(channel,), daemon=True) for channel in waiting]
        for thread in threads:
            thread.start()
        end = time.monotonic() + self._timeout
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        late = f"it did not answer within {self._timeout:g} s"
        # A copy, because a late channel may still accept events.
        return {channel: list(delivered) for channel, delivered in accepted.items()}, [
            f"notification not delivered to {channel.name} of {URLS_VARIABLE}: {why}."
            for channel in waiting if (why := outcomes.get(channel, late))]


def _optional_topics() -> Sequence[str]:
    from orgrecon_pipeline.operations.gate.current_state import OPTIONAL_TOPICS  # slow to import, and rarely needed

    return OPTIONAL_TOPICS


def _deliver(url: str, events: Sequence[Event], accepted: list[Event]) -> str:
    """Send events to a channel, add those that it accepts to ``accepted``, and return why it did not accept all."""
    from apprise import NotifyFormat, NotifyType

    apprise = _client()
    if not apprise.add(url):
        return _INVALID_URL
    refused = 0
    for event in events:
        if apprise.notify(title=event.title, body=event.text, notify_type=NotifyType(event.severity),
                          body_format=NotifyFormat.TEXT):
            accepted.append(event)
        else:
            refused += 1
    return f"it was unreachable or refused {refused} of {counted(len(events), 'message')}" if refused else ""


def _client() -> Apprise:
    from apprise import Apprise, AppriseAsset

    return Apprise(asset=AppriseAsset(app_id="orgrecon", app_desc="Daily reconciliation", async_mode=False))


def _is_supported(url: str) -> bool:
    try:
        return bool(_client().add(url))
    except Exception:  # a plugin can raise anything
        return False


def _silence_loggers() -> None:
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
