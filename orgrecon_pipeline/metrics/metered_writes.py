"""The demo's dual writer publishes what ``docs/dualwrite-metrics.md`` asks of every dual writer."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry, write_to_textfile

from orgrecon_pipeline.metrics.dual_write import DualWriteMetrics
from orgrecon_pipeline.metrics.exporter import make_metrics_server


class _Write(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def entities(self) -> Iterable[str]: ...


class MeteredWrites:
    """An observer of the demo's dual writer that counts into metrics, under each entity that a write has rows of.

    Whichever side the writer writes first is the source of the metrics.
    """

    def __init__(self, metrics: DualWriteMetrics) -> None:
        self._metrics = metrics

    def first_write(self, side: str, write: _Write) -> None:
        """The first side was committed."""
        for entity in write.entities:
            self._metrics.wrote(entity, "source", write.id, success=True)

    def second_write(self, side: str, write: _Write, *, ok: bool) -> None:
        """The second side was committed, or given up."""
        for entity in write.entities:
            self._metrics.wrote(entity, "target", write.id, success=ok)
            if not ok:
                self._metrics.gave_up(entity, write.id)


@contextmanager
def metered_writes(entities: Sequence[str], *, port: int, textfile: Path) -> Iterator[tuple[MeteredWrites, str]]:
    """An observer, and where its metrics are served for the length of the block; ``textfile`` has them afterwards.

    Raises:
        ConfigurationError: when the port cannot be had; 0 takes a free one.
    """
    registry = CollectorRegistry()
    observer = MeteredWrites(DualWriteMetrics(registry, entities))
    server = make_metrics_server(registry, host="127.0.0.1", port=port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield observer, f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        write_to_textfile(str(textfile), registry)
