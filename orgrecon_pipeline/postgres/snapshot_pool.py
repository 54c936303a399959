"""Pool of sessions that read the same snapshot and share the statements of a comparison."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

from psycopg import sql

from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.postgres.cancellation import as_completed, cancelled_on_error
from orgrecon_pipeline.postgres.identity import DatabaseIdentity, identify
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.sql_files import load_sql

Result = TypeVar("Result")

#: One or more statements, for any session of the pool.
Task = Callable[[Session], Result]


class SnapshotPool:
    """Leading session, and helper sessions that join its snapshot while there are tasks.

    The leader runs tasks too, so a database that accepts no second connection is only read more slowly.
    """

    def __init__(self, leader: Session, open_session: Callable[[], Session], size: int) -> None:
        """Prepare a pool of at most ``size`` sessions, including the leader, whose snapshot all of them read.

        ``open_session`` opens another session on the same database; it may raise CannotDecide.
        """
        self._leader, self._open_session, self._size = leader, open_session, size
        self._lock: tuple[sql.Identifier, ...] = ()
        self._instance: tuple[str, ...] = ()
        self._inspect: Task[None] = lambda session: None

    @contextmanager
    def transaction(self, lock: tuple[sql.Identifier, ...], inspect: Task[None]) -> Iterator[DatabaseIdentity]:
        """Open the snapshot for the block, and yield the identity of its database.

        For ``lock`` see :meth:`Session.transaction`. A helper runs ``inspect`` after each task, because only its own
        locks show which tables it read.
        """
        self._lock, self._inspect = lock, inspect
        with self._leader.transaction(lock):
            identity = identify(self._leader)
            self._instance = identity.instance
            yield identity

    def run(self, tasks: Sequence[Task[Result]], *, scans: bool = False) -> list[Result]:
        """Run the tasks and return their results in the same order. If a task fails, the others are cancelled.

        If the tasks are ``scans``, the server uses several processes for each of them. They run one after the other if
        the server is on this machine and one scan keeps all processors busy: two scans would push each other's data out
        of the caches.
        """
        helpers = min(self._size, len(tasks)) - 1
        if helpers > 0 and scans and self._one_scan_keeps_processors_busy():
            helpers = 0
        if helpers <= 0 or self._leader.citus_version:  # the nodes of Citus do not share an exported snapshot
            return [task(self._leader) for task in tasks]
        queue = _TaskQueue(tasks)
        statement = load_sql("postgres/sql/export_snapshot.sql")
        snapshot = self._leader.query(statement, "exporting the snapshot")[0]["snapshot"]
        threading.Thread(target=queue.work, args=(self._leader,), daemon=True).start()
        for _ in range(helpers):
            threading.Thread(target=self._help, args=(queue, snapshot), daemon=True).start()
        return queue.results()

    def _one_scan_keeps_processors_busy(self) -> bool:
        row = self._leader.query(load_sql("postgres/sql/scan_processes.sql"), "reading the limits of workers")[0]
        # The processors of another machine are unknown.
        return bool(row["on_this_machine"] and row["processes"] >= (os.cpu_count() or 1))

    def _help(self, queue: _TaskQueue[Result], snapshot: str) -> None:
        # Without a free connection slot, or behind a pooler that leads to another server, the others do the work.
        with suppress(CannotDecide):
            session = self._open_session()
            try:
                with session.transaction(self._lock, snapshot=snapshot):
                    # Another server can have exported a snapshot with the same name.
                    if identify(session).instance == self._instance:
                        queue.work(session, self._inspect)
            finally:
                session.close()


class _TaskQueue(Generic[Result]):
    """Tasks that several threads take from one queue."""

    def __init__(self, tasks: Sequence[Task[Result]]) -> None:
        self._futures = [Future[Result]() for _ in tasks]
        self._pending = deque(zip(self._futures, tasks, strict=True))
        self._busy: set[Session] = set()
        self._lock = threading.Lock()

    def work(self, session: Session, inspect: Task[None] = lambda session: None) -> None:
        """Run tasks until the queue is empty or a task fails."""
        while (next_task := self._take(session)) is not None:
            future, task = next_task
            try:
                if future.set_running_or_notify_cancel():
                    result = task(session)
                    inspect(session)
                    future.set_result(result)
            except BaseException as error:
                future.set_exception(error)
                return  # a further task would only fail because the transaction is aborted
            finally:
                with self._lock:
                    self._busy.discard(session)

    def results(self) -> list[Result]:
        """Wait for all tasks and return their results in order. Helpers without a task are not waited for."""
        with cancelled_on_error(self._futures, self._cancel):
            for future in as_completed(self._futures):
                future.result()
        return [future.result() for future in self._futures]

    def _take(self, session: Session) -> tuple[Future[Result], Task[Result]] | None:
        with self._lock:
            if not self._pending:
                return None
            self._busy.add(session)
            return self._pending.popleft()

    def _cancel(self) -> None:
        with self._lock:
            busy = list(self._busy)
        for session in busy:
            session.cancel()
