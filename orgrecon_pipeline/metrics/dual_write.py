"""The dual writer's metrics, as ``docs/dualwrite-metrics.md`` defines them; a dual writer in Python may use this.

:meth:`DualWriteMetrics.wrote` is called for each side as it commits or fails, the source first. A write whose second
side failed stays pending until a repetition succeeds; one that is given up is :meth:`~DualWriteMetrics.gave_up`.
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
#: Seconds. 15 is settle_seconds × rechecks of the default mapping: past it a late write is drift.
LAG_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0)


class DualWriteMetrics:
    """Counts and times the writes of one process; safe to share between threads."""

    def __init__(
        self, registry: CollectorRegistry, entities: Sequence[str], now: Callable[[], float] = time
    ) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._pending: dict[str, dict[object, float]] = {entity: {} for entity in entities}
        self._writes = Counter(
            "dualwrite_writes", "Attempts to write one side of the organisation model.",
            ["entity", "side", "outcome"], registry=registry,
        )
        self._lag = Histogram(
            "dualwrite_lag_seconds", "From the commit on the source to the commit on the target.",
            ["entity"], buckets=LAG_BUCKETS, registry=registry,
        )
        self._last = Gauge(
            "dualwrite_last_success_timestamp_seconds", "When a write of this side last succeeded; 0 for never.",
            ["entity", "side"], registry=registry,
        )
        self._oldest = Gauge(
            "dualwrite_oldest_pending_timestamp_seconds",
            "When the oldest write was committed on the source that the target has not got yet; 0 for none.",
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
        """One side of a write committed or failed. ``write`` is anything hashable that names the write."""
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
            self._show_oldest(entity)

    def gave_up(self, entity: str, write: object) -> None:
        """The second side of a write will not be tried again: it is no longer pending, it is drift."""
        with self._lock:
            self._pending[entity].pop(write, None)
            self._show_oldest(entity)

    def _show_oldest(self, entity: str) -> None:
        # Insertion order is the order of commits: the first is the oldest.
        self._oldest.labels(entity).set(next(iter(self._pending[entity].values()), 0.0))
