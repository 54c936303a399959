"""Dual writer: an application that writes both models, optionally with a lag and with lost second writes."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from orgrecon_pipeline.demo.faults import DriftingKey
from orgrecon_pipeline_tests.support.workload.tally import Observer, Side, Tally, Write
from orgrecon_pipeline_tests.support.workload.worker import DualWriterSettings, Worker

__all__ = ["DualWriter", "DualWriterSettings", "Observer", "Side", "Write"]


class DualWriter:
    """Writes in background threads until it is stopped; a context manager that starts and stops it.

    Args:
        dsn: database of both sides, or of the legacy side.
        settings: how to write.
        target_dsn: database of v2.3, if it is another one. There is then no common transaction, so ``lag_seconds``
            must be positive and the legacy side, which holds the table of tenants, must be first.
        observer: receives every write.
    """

    def __init__(self, dsn: str, settings: DualWriterSettings | None = None, *, target_dsn: str | None = None,
                 observer: Observer | None = None) -> None:
        self.settings = settings or DualWriterSettings()
        if target_dsn is not None and self.settings.first != "legacy":
            raise ValueError("with two databases the legacy side, which holds the tenants, must be first")
        if target_dsn is not None and not self.settings.lag_seconds:
            raise ValueError("two databases have no common transaction: set lag_seconds")
        first, second = (dsn, target_dsn or dsn)
        self._tally = Tally(observer)
        self._workers = [Worker(number, first, second, self.settings, self._tally)
                         for number in range(self.settings.workers)]

    @property
    def lost(self) -> frozenset[DriftingKey]:
        """Keys that drift permanently: the first write is committed, the second one was lost."""
        return self._tally.lost()

    @property
    def possibly_lost(self) -> frozenset[DriftingKey]:
        """:attr:`lost`, and the keys that are being lost: their first write may not be committed yet."""
        return self._tally.possibly_lost()

    @property
    def operations(self) -> Mapping[str, int]:
        """Number of first writes by name of the operation, including lost ones."""
        return self._tally.operations()

    @property
    def pending(self) -> int:
        """Number of second writes that are still pending."""
        return sum(worker.pending for worker in self._workers)

    def lose_next(self, count: int = 1) -> None:
        """Lose the second write of the next ``count`` losable operations, whatever the probability."""
        self._tally.lose_next(count)

    def start(self) -> None:
        """Start writing; return when every worker has created its first tenant."""
        for worker in self._workers:
            worker.start()

    def wait(self) -> None:
        """Wait until every worker has finished its ``operations``; second writes may be pending."""
        for worker in self._workers:
            worker.wait()

    def stop(self) -> None:
        """Stop, execute pending second writes at once, and raise the error of a failed worker."""
        for worker in self._workers:
            worker.ask_to_stop()
        for worker in self._workers:
            worker.join()
        self._tally.raise_failure()

    def __enter__(self) -> DualWriter:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
