"""The demo's dual writer publishes what ``docs/dualwrite-metrics.md`` asks of every dual writer."""

from __future__ import annotations

import itertools
import threading
from collections import deque

from orgrecon_pipeline.metrics.dualwrite import DualWriteMetrics


class MeteredWrites:
    """An observer of the demo's dual writer that counts into metrics.

    The writer does not say which entity an operation touched, so all of its writes are counted under ``entity``.
    Whichever side the writer writes first is the source of the metrics.
    """

    def __init__(self, metrics: DualWriteMetrics, entity: str) -> None:
        self._metrics = metrics
        self._entity = entity
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._pending: deque[int] = deque()

    def first_write(self, side: str) -> None:
        """The first side was committed."""
        with self._lock:
            number = next(self._numbers)
            self._pending.append(number)
        self._metrics.wrote(self._entity, "source", number, success=True)

    def second_write(self, side: str, *, ok: bool, lag_seconds: float) -> None:
        """The second side was committed, or given up."""
        with self._lock:
            number = self._pending.popleft() if self._pending else -1
        self._metrics.wrote(self._entity, "target", number, success=ok)
        if not ok:
            self._metrics.gave_up(self._entity, number)
