"""Progress of a comparison: a row counter, and messages at a limited rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Minimum number of seconds between two messages.
INTERVAL_SECONDS = 3.0


class Throttle:
    """Passes a message on, unless another one was passed on less than ``interval`` seconds ago. Thread-safe."""

    def __init__(self, report: Callable[[str], None], interval: float = INTERVAL_SECONDS) -> None:
        self._report, self._interval = report, interval
        self._lock, self._last = threading.Lock(), float("-inf")

    def __call__(self, message: str) -> None:
        with self._lock:
            now = time.monotonic()
            if now - self._last < self._interval:
                return
            self._last = now
        self._report(message)


@contextmanager
def periodic_progress(
    report: Callable[[str], None], message: Callable[[], str], interval: float = INTERVAL_SECONDS
) -> Iterator[None]:
    """Report ``message()`` and the elapsed time every ``interval`` seconds while the block runs."""
    ended = threading.Event()
    started = time.monotonic()

    def repeat() -> None:
        while not ended.wait(interval):
            report(f"{message()}, {time.monotonic() - started:.0f} s")

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class RowCounter:
    """Number of rows that were read, and the number that is expected by the server's statistics. Thread-safe."""

    def __init__(self) -> None:
        self.expected = 0
        self._lock, self._rows = threading.Lock(), 0

    def add(self, rows: int) -> None:
        """Count more rows."""
        with self._lock:
            self._rows += rows

    def __str__(self) -> str:
        about = f" of about {self.expected:,}" if self.expected else ""
        return f"{self._rows:,}{about} rows"
