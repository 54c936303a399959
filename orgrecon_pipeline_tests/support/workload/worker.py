"""One worker of the dual writer: a thread that writes the first side, and with a lag one that writes the second."""

from __future__ import annotations

import itertools
import queue
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import psycopg

from orgrecon_pipeline.demo.faults import DriftingKey
from orgrecon_pipeline_tests.support.workload.operations import Application, Operation, Statement
from orgrecon_pipeline_tests.support.workload.tally import Side, Tally, Write

_SEEN_FROM_THE_OTHER_SIDE = {"missing": "unexpected", "unexpected": "missing"}
#: How long a writer pauses when everything it could write was written a moment ago, in seconds.
_PAUSE = 0.02


@dataclass(frozen=True)
class DualWriterSettings:
    """How the application writes.

    ``operations_per_second`` over all workers, None for as fast as it can; ``operations`` stops each worker after so
    many. ``lag_seconds`` 0 writes both sides in one transaction, more writes the second side so much later on another
    connection, in the same order. ``loss`` is the probability that the second write of an operation never happens, for
    the operations named in ``losable``, or for all. ``first`` is the side that is written first. ``cooldown_seconds``
    is how long a unit or membership is left alone after it was written: a key that changes again within the lag is
    never seen settled. A worker keeps up to ``tenants`` tenants of its own; those to ``adopt``, which exist and are
    free of drift, are divided among the workers. The same seed and number of operations write the same, but for the
    order between workers.
    """

    operations_per_second: float | None = 100.0
    operations: int | None = None
    lag_seconds: float = 0.0
    loss: float = 0.0
    losable: tuple[str, ...] = ()
    first: Side = "legacy"
    cooldown_seconds: float = 0.0
    workers: int = 1
    tenants: int = 4
    adopt: tuple[str, ...] = ()
    seed: int = 1


class Worker:
    """One process of the application, with tenants that no other worker touches."""

    def __init__(self, number: int, first_dsn: str, second_dsn: str, settings: DualWriterSettings,
                 tally: Tally) -> None:
        self._settings = settings
        self._tally = tally
        self._dsns = {"first": first_dsn, "second": second_dsn}
        self._first: Side = settings.first
        self._second: Side = "v2_3" if settings.first == "legacy" else "legacy"
        self._name = f"writer{settings.seed}-{number}"
        self._rng = random.Random(f"{settings.seed}/{number}")
        self._adopted = settings.adopt[number::settings.workers]
        self._founded = threading.Event()
        self._stopping = threading.Event()
        self._queue: queue.Queue[tuple[float, Operation, Write, frozenset[DriftingKey]] | None] = queue.Queue()
        self._numbers = itertools.count()
        self._threads = [threading.Thread(target=self._guarded, args=(self._write_first,), daemon=True)]
        if settings.lag_seconds:
            self._threads.append(threading.Thread(target=self._guarded, args=(self._write_second,), daemon=True))

    @property
    def pending(self) -> int:
        """Second writes that are still to come."""
        return self._queue.unfinished_tasks

    def start(self) -> None:
        """Returns when the first tenant is written, or the worker has failed."""
        for thread in self._threads:
            thread.start()
        self._founded.wait()

    def wait(self) -> None:
        """Returns when the number of operations is done."""
        self._threads[0].join()

    def ask_to_stop(self) -> None:
        """No first write from now on, and no second one waits any longer."""
        self._stopping.set()

    def join(self) -> None:
        """Returns when nothing is pending."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _guarded(self, work: Any) -> None:
        try:
            work()
        except BaseException as error:  # it is raised by stop(), in the thread of the caller
            self._tally.fail(error)
            self._stopping.set()
            self._founded.set()

    def _write_first(self) -> None:
        settings = self._settings
        interval = settings.workers / settings.operations_per_second if settings.operations_per_second else 0.0
        try:
            with psycopg.connect(self._dsns["first"], autocommit=True) as connection:
                application = self._begin(connection)
                self._write(connection, application.found(), lost=False)
                self._founded.set()
                due, written = time.monotonic(), 0
                while not self._stopping.is_set() and written != settings.operations:
                    operation = application.next(time.monotonic())
                    if operation is None:
                        self._stopping.wait(_PAUSE)
                        continue
                    self._write(connection, operation, lost=self._decide_loss(operation))
                    written += 1
                    due += interval
                    if due > time.monotonic():
                        self._stopping.wait(due - time.monotonic())
        finally:
            if settings.lag_seconds:
                self._queue.put(None)

    def _decide_loss(self, operation: Operation) -> bool:
        # Drawn in any case, so that lose_next() does not change which operations follow.
        drawn = self._rng.random() < self._settings.loss
        if self._settings.losable and operation.name not in self._settings.losable:
            return False
        return self._tally.is_to_be_lost() or drawn

    def _write(self, connection: psycopg.Connection[Any], operation: Operation, *, lost: bool) -> None:
        settings = self._settings
        drifts = self._as_seen(operation.lost) if lost else frozenset()
        self._tally.losing(drifts)
        with connection.transaction():
            _execute(connection, "legacy", operation.tenant_statements)
            _execute(connection, self._first, operation.statements)
            if not lost and not settings.lag_seconds:
                _execute(connection, self._second, operation.statements)
        committed = time.monotonic()
        operation.settle(lost)
        write = Write(f"{self._name}/{next(self._numbers)}", operation.name, operation.entities)
        self._tally.first_written(self._first, write)
        if settings.lag_seconds:
            # A loss waits in the line too: before the writes ahead of it are done, its key may not drift yet.
            self._queue.put((committed, operation, write, drifts))
        else:
            self._tally.second_written(self._second, write, drifts)

    def _write_second(self) -> None:
        with psycopg.connect(self._dsns["second"], autocommit=True) as connection:
            while (entry := self._queue.get()) is not None:
                committed, operation, write, drifts = entry
                wait = committed + self._settings.lag_seconds - time.monotonic()
                if wait > 0 and not drifts:
                    self._stopping.wait(wait)
                if not drifts:
                    with connection.transaction():
                        _execute(connection, self._second, operation.statements)
                self._tally.second_written(self._second, write, drifts)
                self._queue.task_done()
            self._queue.task_done()

    def _as_seen(self, drifts: frozenset[DriftingKey]) -> frozenset[DriftingKey]:
        if self._first == "legacy":
            return drifts
        return frozenset(
            replace(drift, kind=_SEEN_FROM_THE_OTHER_SIDE.get(drift.kind, drift.kind)) for drift in drifts)

    def _begin(self, connection: psycopg.Connection[Any]) -> Application:
        taken = self._names_in_use(connection)
        if self._dsns["second"] != self._dsns["first"]:
            with psycopg.connect(self._dsns["second"]) as other:
                taken |= self._names_in_use(other)
        application = Application(self._name, self._rng, tenants=self._settings.tenants, taken=taken,
                                  cooldown_seconds=self._settings.cooldown_seconds)
        for tenant in self._adopted:
            application.adopt(
                tenant,
                connection.execute(_statements()["tenant_units"], {"tenant": tenant}).fetchall(),
                connection.execute(_statements()["tenant_members"], {"tenant": tenant}).fetchall())
        return application

    def _names_in_use(self, connection: psycopg.Connection[Any]) -> set[str]:
        rows = connection.execute(_statements()["names_in_use"], {"prefix": f"{self._name}-"})
        return {name for (name,) in rows}


@cache
def _statements() -> Mapping[str, bytes]:
    text = (files("orgrecon_pipeline_tests.support.workload") / "dual_write.sql").read_text(encoding="utf-8")
    named = (part.split("\n", 1) for part in text.split("-- name: ")[1:])
    return {name.strip(): statement.strip().encode() for name, statement in named}


def _execute(connection: psycopg.Connection[Any], side: Side, statements: tuple[Statement, ...]) -> None:
    for name, parameters in statements:
        cursor = connection.execute(_statements()[f"{side}.{name}"], parameters)
        # A dual writer that misses its row without noticing is a fault, and none of those that are asked for.
        if cursor.rowcount != 1 and not name.startswith("delete_all"):
            raise RuntimeError(f"{side}.{name} changed {cursor.rowcount} rows instead of one")
