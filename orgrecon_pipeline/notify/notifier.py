"""Telling people through Apprise: Slack, Teams, mail, webhooks, and a hundred more.

The addresses are secrets: many hold a token. No line that leaves here has more of one than its scheme.
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

from orgrecon_pipeline.notify.events import Event

if TYPE_CHECKING:
    from apprise import Apprise

URLS_VARIABLE = "ORGRECON_NOTIFY_URLS"

#: How long one run waits for all channels together, in seconds.
PATIENCE = 20.0

# A comma may be part of an address; one that ends it is followed by the scheme of the next.
_BETWEEN = re.compile(r"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*://)|\s+")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31})://")

_NO_ADDRESS = "Apprise does not know such an address: correct it"

# Apprise and what it sends with write addresses into their own logs.
_TALKATIVE = ("apprise", "urllib3", "requests", "httpx")


@dataclass(frozen=True)
class Channel:
    """One address, and its place among them."""

    number: int
    url: str = field(repr=False)

    @property
    def name(self) -> str:
        """What a person may read of it."""
        scheme = _SCHEME.match(self.url)
        return f"channel {self.number} ({scheme[1].lower() if scheme else 'no scheme'})"

    @cached_property
    def key(self) -> str:
        """What a ledger may know of it: always the same, and as hard to turn back as a password that is kept well."""
        return hashlib.scrypt(self.url.encode(), salt=b"orgrecon channel", n=2**14, r=8, p=1, dklen=8).hex()


class Notifier:
    """Sends events to the channels of ``ORGRECON_NOTIFY_URLS``; without any it does nothing, and is false."""

    def __init__(self, urls: str, *, patience: float = PATIENCE) -> None:
        """
        Args:
            urls: addresses as Apprise writes them, separated by white space or commas.
            patience: seconds that one :meth:`send` waits for all channels together.
        """
        found = (part.strip(",") for part in _BETWEEN.split(urls.strip()))
        self._channels = [Channel(number, url) for number, url in enumerate(filter(None, found), start=1)]
        self._patience = patience

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Notifier:
        """The notifier of an environment."""
        return cls(environ.get(URLS_VARIABLE, ""))

    def __bool__(self) -> bool:
        return bool(self._channels)

    def __repr__(self) -> str:
        return f"<Notifier: {len(self._channels)} channels>"

    @property
    def channels(self) -> Sequence[Channel]:
        """Those that are told."""
        return self._channels

    def unknown(self) -> list[str]:
        """One sanitised line for each address that nothing could ever be sent to; nothing is sent."""
        _silence()
        return [f"{channel.name} of {URLS_VARIABLE}: {_NO_ADDRESS}"
                for channel in self._channels if not _is_known(channel.url)]

    def send(self, events: Sequence[Event]) -> list[str]:
        """Send every event to every channel; see :meth:`send_each`.

        Returns:
            One sanitised line for each channel that did not take everything; empty when all is well.
        """
        return self.send_each(dict.fromkeys(self._channels, events))[1]

    def send_each(self, events: Mapping[Channel, Sequence[Event]]) -> tuple[dict[Channel, list[Event]], list[str]]:
        """Send events to the channels that they are for.

        It never raises for what a channel does, and never waits longer than its patience: what is not delivered by
        then may still be, or not.

        Returns:
            What each channel took, and one sanitised line for each that did not take everything.
        """
        taken: dict[Channel, list[Event]] = {channel: [] for channel in events}
        waiting = [channel for channel, own in events.items() if own]
        if not waiting:
            return taken, []
        _silence()
        outcomes: dict[Channel, str] = {}

        def deliver(channel: Channel) -> None:
            # One more catch: an address that makes Apprise itself fail must not print a traceback with it in.
            try:
                outcomes[channel] = _deliver(channel.url, events[channel], taken[channel])
            except Exception as error:  # whatever a plugin does
                outcomes[channel] = f"it failed ({type(error).__name__})"

        # Daemons: a channel that never answers must not keep the process from ending.
        threads = [threading.Thread(target=deliver, args=(channel,), daemon=True) for channel in waiting]
        for thread in threads:
            thread.start()
        end = time.monotonic() + self._patience
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        late = f"it did not answer within {self._patience:g} s"
        return {channel: list(own) for channel, own in taken.items()}, [
            f"notification not delivered to {channel.name} of {URLS_VARIABLE}: {why}."
            for channel in waiting if (why := outcomes.get(channel, late))
        ]


def _deliver(url: str, events: Sequence[Event], taken: list[Event]) -> str:
    """Why a channel did not take everything; empty when it did. What it took is added to ``taken`` as it does."""
    from apprise import NotifyFormat, NotifyType

    apprise = _client()
    if not apprise.add(url):
        return _NO_ADDRESS
    refused = 0
    for event in events:
        if apprise.notify(title=event.title, body=event.text, notify_type=NotifyType(event.severity),
                          body_format=NotifyFormat.TEXT):
            taken.append(event)
        else:
            refused += 1
    return f"it was unreachable or refused {refused} of {len(events)} messages" if refused else ""


def _client() -> Apprise:
    from apprise import Apprise, AppriseAsset

    return Apprise(asset=AppriseAsset(app_id="orgrecon", app_desc="Org Model v2.3 reconciliation", async_mode=False))


def _is_known(url: str) -> bool:
    try:
        return bool(_client().add(url))
    except Exception:  # whatever a plugin does
        return False


def _silence() -> None:
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
