"""Telling what a run changed: the standing before it against the standing after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date

from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.notify.events import events_of
from orgrecon_pipeline.notify.notifier import Notifier
from orgrecon_pipeline.operations.standing import Standing, read_standing

LINK_VARIABLE = "ORGRECON_REPORT_BASE_URL"


@contextmanager
def told(settings: Settings, day: date, say: Callable[[str], None]) -> Iterator[None]:
    """Send what the block changes in the standing of ``day``, also when it raises: the evidence may be kept by then.

    Nothing that goes wrong here reaches the block or its caller but as a line to ``say``.
    """
    notifier = Notifier.from_environ(settings.environ)
    if not notifier:
        yield
        return
    before = _standing(settings, day, say)
    try:
        yield
    finally:
        after = _standing(settings, day, say) if before else None
        if before and after:
            base = settings.environ.get(LINK_VARIABLE, "").rstrip("/")
            link = f"{base}/{after.report.name}" if base else ""
            for line in notifier.send(events_of(before, after, link=link)):
                say(line)


def _standing(settings: Settings, day: date, say: Callable[[str], None]) -> Standing | None:
    try:
        return read_standing(settings, day)
    except Exception as error:  # a notification never changes what it is about
        say(f"nobody is notified: the evidence could not be read ({type(error).__name__}).")
        return None
