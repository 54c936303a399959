"""Telling what a run changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date

from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.notify.dispatch import LINK_VARIABLE, remember, tell
from orgrecon_pipeline.notify.notifier import Notifier
from orgrecon_pipeline.operations.open_context import open_work


@contextmanager
def told(settings: Settings, day: date, say: Callable[[str], None]) -> Iterator[None]:
    """Send what the block changes, and whatever is owed from before, also when the block raises: the evidence may be
    kept by then.

    Nothing that goes wrong here reaches the block or its caller but as a line to ``say``.
    """
    notifier = Notifier.from_environ(settings.environ)
    if not notifier:
        yield
        return
    said: set[str] = set()
    with _harmless(said):
        remember(open_work(settings), notifier, (day,))
    try:
        yield
    finally:
        with _harmless(said):
            link_base = settings.environ.get(LINK_VARIABLE, "")
            for line in tell(open_work(settings), notifier, link_base=link_base, also=(day,)):
                said.add(f"{line} It is sent again with the next run.")
        for line in sorted(said):
            say(line)


@contextmanager
def _harmless(said: set[str]) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a notification never changes what it is about
        said.add("nobody is notified: the evidence could not be read, or what is told not be kept "
                 f"({type(error).__name__}).")
