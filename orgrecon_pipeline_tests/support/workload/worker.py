"""Worker of the dual writer: a thread that writes the first side and, with a lag, one that writes the second."""

from __future__ import annotations

import itertools
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import psycopg

from orgrecon_pipeline.demo.faults import DriftingKey
from orgrecon_pipeline_tests.support.workload.operations import Operation, OperationGenerator, Statement
from orgrecon_pipeline_tests.support.workload.tally import Side, Tally, Write

_KIND_WITH_V23_FIRST = {"missing": "unexpected", "unexpected": "missing"}
#: Pause in seconds if no operation is possible because of the cooldown.
_PAUSE = 0.02


@dataclass(frozen=True)
class DualWriterSettings:
    """How the application writes. The same seed and number of operations give the same writes per worker.

    Attributes:
        operations_per_second: over all workers; None for no limit.
        operations: number after which each worker stops; None for no limit.
        lag_seconds: 0 writes both sides in one transaction. Otherwise the second side is written that much later, on
            another connection and in the same order. While it is later than twice that, nothing is written first.
        loss: probability that the second write of a losable operation never happens.
        losable: names of the losable operations; empty for all.
        first: the side that is written first.
        cooldown_seconds: time for which a unit or membership is not written again. A key that changes again within
            the lag would never be equal on both sides.
        workers: number of workers, each with its own tenants.
        tenants: maximum number of new tenants per worker.
        adopt: existing tenants without drift, divided among the workers.
        seed: seed of the random generators.
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
    """One process of the application, with tenants that no other worker writes."""

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
        self._started = threading.Event()
        self._stopping = threading.Event()
        self._queue: queue.Queue[tuple[float, Operation, Write, frozenset[DriftingKey]] | None] = queue.Queue()
        self._pending_since: deque[float] = deque()
        self._numbers = itertools.count()
        self._threads = [threading.Thread(target=self._guarded, args=(self._write_first,), daemon=True)]
        if settings.lag_seconds:
            self._threads.append(threading.Thread(target=self._guarded, args=(self._write_second,), daemon=True))

    @property
    def pending(self) -> int:
        """Number of second writes that are still pending."""
        return self._queue.unfinished_tasks

    def start(self) -> None:
        """Start; return when the first tenant is written or the worker has failed."""
        for thread in self._threads:
            thread.start()
        self._started.wait()

    def wait(self) -> None:
        """Wait until the number of operations is done."""
        self._threads[0].join()

    def ask_to_stop(self) -> None:
        """Prevent further first writes, and execute pending second writes without waiting."""
        self._stopping.set()

    def join(self) -> None:
        """Wait until no write is pending."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _guarded(self, target: Callable[[], None]) -> None:
        try:
            target()
        except BaseException as error:  # stop() raises it in the thread of the caller
            self._tally.fail(error)
            self._stopping.set()
            self._started.set()

    def _write_first(self) -> None:
        settings = self._settings
        interval = settings.workers / settings.operations_per_second if settings.operations_per_second else 0.0
        try:
            with psycopg.connect(self._dsns["first"], autocommit=True) as connection:
                generator = self._begin(connection)
                self._write(connection, generator.create_first_tenant(), lost=False)
                self._started.set()
                due, written = time.monotonic(), 0
                while not self._stopping.is_set() and written != settings.operations:
                    if self._is_behind():
                        self._stopping.wait(_PAUSE)
                        due = time.monotonic()
                        continue
                    operation = generator.next(time.monotonic())
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

    def _is_behind(self) -> bool:
        # On a busy machine, the lag would grow beyond what an application has, and beyond every recheck.
        try:
            return time.monotonic() - self._pending_since[0] > 2 * self._settings.lag_seconds
        except IndexError:  # nothing is pending
            return False

    def _decide_loss(self, operation: Operation) -> bool:
        # Always drawn, so that lose_next() does not change the following operations.
        drawn = self._rng.random() < self._settings.loss
        if self._settings.losable and operation.name not in self._settings.losable:
            return False
        return self._tally.take_requested_loss() or drawn

    def _write(self, connection: psycopg.Connection[Any], operation: Operation, *, lost: bool) -> None:
        settings = self._settings
        lost_keys = self._lost_keys(operation) if lost else frozenset()
        self._tally.announce_loss(lost_keys)
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
            # Losses are queued as well: until the earlier writes are done, their keys may not drift yet.
            self._pending_since.append(committed)
            self._queue.put((committed, operation, write, lost_keys))
        else:
            self._tally.second_written(self._second, write, lost_keys)

    def _write_second(self) -> None:
        with psycopg.connect(self._dsns["second"], autocommit=True) as connection:
            while (entry := self._queue.get()) is not None:
                committed, operation, write, lost_keys = entry
                wait = committed + self._settings.lag_seconds - time.monotonic()
                if wait > 0 and not lost_keys:
                    self._stopping.wait(wait)
                if not lost_keys:
                    with connection.transaction():
                        _execute(connection, self._second, operation.statements)
                self._tally.second_written(self._second, write, lost_keys)
                self._pending_since.popleft()
                self._queue.task_done()
            self._queue.task_done()

    def _lost_keys(self, operation: Operation) -> frozenset[DriftingKey]:
        if self._first == "legacy":
            return operation.lost
        return frozenset(
            replace(key, kind=_KIND_WITH_V23_FIRST.get(key.kind, key.kind)) for key in operation.lost)

    def _begin(self, connection: psycopg.Connection[Any]) -> OperationGenerator:
        taken = self._names_in_use(connection)
        if self._dsns["second"] != self._dsns["first"]:
            with psycopg.connect(self._dsns["second"]) as other:
                taken |= self._names_in_use(other)
        generator = OperationGenerator(self._name, self._rng, tenants=self._settings.tenants, taken=taken,
                                       cooldown_seconds=self._settings.cooldown_seconds)
        for tenant in self._adopted:
            generator.adopt(
                tenant,
                connection.execute(_statements()["tenant_units"], {"tenant": tenant}).fetchall(),
                connection.execute(_statements()["tenant_members"], {"tenant": tenant}).fetchall())
        return generator

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
        # A write that silently misses its row would be drift that is not in ``lost``.
        if cursor.rowcount != 1 and not name.startswith("delete_all"):
            raise RuntimeError(f"{side}.{name} changed {cursor.rowcount} rows instead of one")
