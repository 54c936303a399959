"""How far a comparison is, said now and then while a statement runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Seconds between two lines at least.
EVERY_SECONDS = 3.0


class Throttle:
    """Passes a line on unless one was passed on a moment ago. Threads may share it."""

    def __init__(self, say: Callable[[str], None], every: float = EVERY_SECONDS) -> None:
        self._say, self._every = say, every
        self._lock, self._last = threading.Lock(), float("-inf")

    def __call__(self, line: str) -> None:
        with self._lock:
            now = time.monotonic()
            if now - self._last < self._every:
                return
            self._last = now
        self._say(line)


@contextmanager
def pulse(say: Callable[[str], None], line: Callable[[], str], every: float = EVERY_SECONDS) -> Iterator[None]:
    """Say ``line()`` every few seconds for as long as the block runs, with the time that it has taken."""
    ended = threading.Event()
    started = time.monotonic()

    def beat() -> None:
        while not ended.wait(every):
            say(f"{line()}, {time.monotonic() - started:.0f} s")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class RowCount:
    """Rows that were read, of about how many by the server's statistics."""

    def __init__(self) -> None:
        self.expected = 0
        self._lock, self._rows = threading.Lock(), 0

    def add(self, rows: int) -> None:
        """More were read, by whatever thread."""
        with self._lock:
            self._rows += rows

    def __str__(self) -> str:
        about = f" of about {self.expected:,}" if self.expected else ""
        return f"{self._rows:,}{about} rows"
