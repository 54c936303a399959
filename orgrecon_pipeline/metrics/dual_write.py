"""Metrics of a dual writer, as ``docs/dualwrite-metrics.md`` defines them; dual writers in Python can use this module.

Call :meth:`DualWriteMetrics.wrote` for each side as it commits or fails, the source first. A write whose second side
failed stays pending until a retry succeeds or :meth:`DualWriteMetrics.gave_up` is called.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import time
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Side = Literal["source", "target"]

SIDES: tuple[Side, ...] = ("source", "target")
OUTCOMES = ("success", "failure")
#: Seconds. 15 is settle_seconds × rechecks of the default mapping; a write that is later counts as drift.
LAG_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0)


class DualWriteMetrics:
    """Counts and durations of the writes of one process. Threads may share an instance."""

    def __init__(self, registry: CollectorRegistry, entities: Sequence[str], now: Callable[[], float] = time) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._pending: dict[str, dict[object, float]] = {entity: {} for entity in entities}
        self._writes = Counter(
            "dualwrite_writes", "Attempts to write one side of the organisation model.",
            ["entity", "side", "outcome"], registry=registry,
        )
        self._lag = Histogram(
            "dualwrite_lag_seconds", "Time from the commit on the source to the commit on the target.",
            ["entity"], buckets=LAG_BUCKETS, registry=registry,
        )
        self._last = Gauge(
            "dualwrite_last_success_timestamp_seconds", "Time of the last successful write of a side; 0 for never.",
            ["entity", "side"], registry=registry,
        )
        self._oldest = Gauge(
            "dualwrite_oldest_pending_timestamp_seconds",
            "Time at which the oldest pending write was committed on the source; 0 if no write is pending.",
            ["entity"], registry=registry,
        )
        for entity in entities:
            self._lag.labels(entity)
            self._oldest.labels(entity)
            for side in SIDES:
                self._last.labels(entity, side)
                for outcome in OUTCOMES:
                    self._writes.labels(entity, side, outcome)

    def wrote(self, entity: str, side: Side, write: object, *, success: bool) -> None:
        """Count one side of a write that committed or failed; ``write`` is any hashable value that identifies it."""
        now = self._now()
        self._writes.labels(entity, side, "success" if success else "failure").inc()
        if not success:
            return
        self._last.labels(entity, side).set(now)
        with self._lock:
            if side == "source":
                self._pending[entity].setdefault(write, now)
            else:
                began = self._pending[entity].pop(write, None)
                if began is not None:
                    self._lag.labels(entity).observe(max(0.0, now - began))
            self._update_oldest(entity)

    def gave_up(self, entity: str, write: object) -> None:
        """Count a write as no longer pending because its second side will not be retried; it is drift now."""
        with self._lock:
            self._pending[entity].pop(write, None)
            self._update_oldest(entity)

    def _update_oldest(self, entity: str) -> None:
        # A dict keeps the order of insertion, which is the order of commits.
        self._oldest.labels(entity).set(next(iter(self._pending[entity].values()), 0.0))
