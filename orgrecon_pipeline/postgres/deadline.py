"""Deadline of an observation, which can also be stopped early from another thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.reasons import ReasonCode


class Cancellable(Protocol):
    """Work that any thread can cancel."""

    def cancel(self) -> None:
        """Cancel what is running."""


def _interrupted() -> CannotDecide:
    return CannotDecide("the comparison was stopped", ReasonCode.INTERRUPTED)


class Deadline:
    """Time by which an observation must end. Stopping it cancels the statements of every registered session."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._stopped = threading.Event()
        self._failure = _interrupted
        self._lock = threading.Lock()
        self._registered: set[Cancellable] = set()

    def part(self) -> Deadline:
        """Return a deadline that ends at the same time and is stopped with this one, but can also be stopped alone."""
        part = Deadline(self.seconds)
        part._end = self._end
        self.register(part)
        return part

    def register(self, work: Cancellable) -> None:
        """Add work for :meth:`stop` to cancel."""
        with self._lock:
            self._registered.add(work)

    def unregister(self, work: Cancellable) -> None:
        """Remove work that :meth:`register` added."""
        with self._lock:
            self._registered.discard(work)

    @property
    def registered(self) -> list[Cancellable]:
        """The work that :meth:`stop` would cancel now."""
        with self._lock:
            return list(self._registered)

    def stop(self, failure: Callable[[], CannotDecide] = _interrupted) -> None:
        """Let no statement start from now on, and cancel those that are running. Any thread may call this.

        ``failure`` returns the error that :meth:`remaining` raises from now on.
        """
        if not self._stopped.is_set():
            self._failure = failure
        self._stopped.set()
        for work in self.registered:
            work.cancel()

    def cancel(self) -> None:
        """Stop, as part of another deadline."""
        self.stop()

    def sleep(self, seconds: float) -> None:
        """Wait for that long, or until the deadline is stopped."""
        self._stopped.wait(seconds)

    @property
    def passed(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self._end

    def remaining(self) -> float:
        """Return the seconds that are left; raise CannotDecide if the deadline has passed or was stopped."""
        if self._stopped.is_set():
            raise self._failure()
        left = self._end - time.monotonic()
        if left <= 0:
            raise CannotDecide(
                f"the comparison did not end within deadline_seconds ({self.seconds:g} s)", ReasonCode.TIMEOUT)
        return left
