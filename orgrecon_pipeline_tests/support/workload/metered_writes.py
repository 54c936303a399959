"""Observer that counts the workload's writes into the dual-write metrics."""

from __future__ import annotations

from orgrecon_pipeline.metrics.dual_write import DualWriteMetrics
from orgrecon_pipeline_tests.support.workload.tally import Side, Write


class MeteredWrites:
    """Observer of a ``DualWriter``; the side that is written first is the source of the metrics."""

    def __init__(self, metrics: DualWriteMetrics) -> None:
        self._metrics = metrics

    def first_write(self, side: Side, write: Write) -> None:
        """Count the first side's commit for each entity of the write."""
        for entity in write.entities:
            self._metrics.wrote(entity, "source", write.id, success=True)

    def second_write(self, side: Side, write: Write, *, ok: bool) -> None:
        """Count the second side's commit, or its loss when not ``ok``."""
        for entity in write.entities:
            self._metrics.wrote(entity, "target", write.id, success=ok)
            if not ok:
                self._metrics.gave_up(entity, write.id)
