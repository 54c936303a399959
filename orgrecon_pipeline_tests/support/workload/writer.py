"""An application that writes both models, with the faults that a dual write can have: lag and loss."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from orgrecon_pipeline.demo.faults import DriftingKey
from orgrecon_pipeline_tests.support.workload.tally import Observer, Side, Tally, Write
from orgrecon_pipeline_tests.support.workload.worker import DualWriterSettings, Worker

__all__ = ["DualWriter", "DualWriterSettings", "Observer", "Side", "Write"]


class DualWriter:
    """Writes until it is stopped, in threads of its own; as a context manager it starts and stops itself.

    ``target_dsn`` puts v2.3 into another database; both sides can then not be written in one transaction, so the
    lag has to be more than 0. The table of tenants is on the legacy side, and written with whichever side is first.
    """

    def __init__(self, dsn: str, settings: DualWriterSettings | None = None, *, target_dsn: str | None = None,
                 observer: Observer | None = None) -> None:
        self.settings = settings or DualWriterSettings()
        if target_dsn is not None and self.settings.first != "legacy":
            raise ValueError("with two databases the legacy side, where the tenants are, has to be the first")
        if target_dsn is not None and not self.settings.lag_seconds:
            raise ValueError("two databases have no transaction in common: set lag_seconds")
        first, second = (dsn, target_dsn or dsn)
        self._tally = Tally(observer)
        self._workers = [Worker(number, first, second, self.settings, self._tally)
                         for number in range(self.settings.workers)]

    @property
    def lost(self) -> frozenset[DriftingKey]:
        """What drifts for good, because its second write was lost: the first one is committed."""
        return self._tally.lost()

    @property
    def possibly_lost(self) -> frozenset[DriftingKey]:
        """As :attr:`lost`, with what is being lost at this moment: the first write may not be committed yet."""
        return self._tally.possibly_lost()

    @property
    def operations(self) -> Mapping[str, int]:
        """How many operations of each name had their first write, lost ones included."""
        return self._tally.operations()

    @property
    def pending(self) -> int:
        """Second writes that are still to come."""
        return sum(worker.pending for worker in self._workers)

    def lose_next(self, count: int = 1) -> None:
        """The next ``count`` operations that are losable lose their second write, whatever the probability."""
        self._tally.lose_next(count)

    def start(self) -> None:
        """Starts to write; every worker's first tenant is there when it returns."""
        for worker in self._workers:
            worker.start()

    def wait(self) -> None:
        """Returns when every worker has done its number of ``operations``; second writes may be pending."""
        for worker in self._workers:
            worker.wait()

    def stop(self) -> None:
        """Stops writing, and writes what is pending at once. Raises what a worker failed with, if one did."""
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
