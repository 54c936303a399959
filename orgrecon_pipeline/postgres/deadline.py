"""Deadline of an observation, which can also be stopped early from another thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.reasons import ReasonCode


class Deadline:
    """Time by which an observation must end. Stopping it cancels the statements of every registered session."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._cancels: set[Callable[[], None]] = set()

    def register(self, cancel: Callable[[], None]) -> None:
        """Add a function for :meth:`stop` to call."""
        with self._lock:
            self._cancels.add(cancel)

    def unregister(self, cancel: Callable[[], None]) -> None:
        """Remove a function that :meth:`register` added."""
        with self._lock:
            self._cancels.discard(cancel)

    def stop(self) -> None:
        """Let no statement start from now on, and cancel those that are running. Any thread may call this."""
        self._stopped.set()
        with self._lock:
            cancels = list(self._cancels)
        for cancel in cancels:
            cancel()

    def sleep(self, seconds: float) -> None:
        """Wait for that long, or until the deadline is stopped."""
        self._stopped.wait(seconds)

    def remaining(self) -> float:
        """Return the seconds that are left; raise CannotDecide if the deadline has passed or was stopped."""
        if self._stopped.is_set():
            raise CannotDecide("the comparison was stopped", ReasonCode.INTERRUPTED)
        left = self._end - time.monotonic()
        if left <= 0:
            raise CannotDecide(
                f"the comparison did not end within deadline_seconds ({self.seconds:g} s)", ReasonCode.TIMEOUT)
        return left
