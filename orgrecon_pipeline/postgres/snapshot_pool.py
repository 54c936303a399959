"""Several connections on one snapshot, sharing out the statements of a comparison."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

from psycopg import sql

from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.postgres.session import CANCEL_AGAIN_SECONDS, DatabaseIdentity, Session
from orgrecon_pipeline.postgres.sql_files import load_sql

Result = TypeVar("Result")

#: One statement or more, on whichever session it is given.
Task = Callable[[Session], Result]


class SnapshotPool:
    """A leading session, and helpers that join its snapshot for as long as there is work.

    The leader works too: a database that lets no second connection in is read all the same, only slower.
    """

    def __init__(self, leader: Session, open_session: Callable[[], Session], size: int) -> None:
        """Args:
            leader: the session whose snapshot all read.
            open_session: opens another session on the same database; may raise CannotDecide.
            size: connections at most, the leader's included.
        """
        self._leader, self._hire, self._size = leader, open_session, size
        self._lock: tuple[sql.Identifier, ...] = ()
        self._place: tuple[str, ...] = ()
        self._inspect: Task[None] = lambda session: None

    @contextmanager
    def transaction(self, lock: tuple[sql.Identifier, ...], inspect: Task[None]) -> Iterator[DatabaseIdentity]:
        """One snapshot for all.

        Args:
            lock: see :meth:`Session.transaction`.
            inspect: run by each helper at the end of its share: what was read there only its own locks show.
        """
        self._lock, self._inspect = lock, inspect
        with self._leader.transaction(lock):
            identity = self._leader.identify()
            self._place = identity.place
            yield identity

    def run(self, tasks: Sequence[Task[Result]]) -> list[Result]:
        """The results, in the order of the tasks.

        Raises:
            CannotDecide: when one of them fails; the others are cancelled.
        """
        helpers = min(self._size, len(tasks)) - 1
        if helpers <= 0:
            return [task(self._leader) for task in tasks]
        share = _Share(tasks)
        exported = self._leader.query(load_sql("postgres", "export_snapshot.sql"), "exporting the snapshot")[0]["snapshot"]
        for _ in range(helpers):
            threading.Thread(target=self._help, args=(share, exported), daemon=True).start()
        share.work(self._leader)
        return share.collected()

    def _help(self, share: _Share[Result], exported: str) -> None:
        with suppress(CannotDecide):  # no slot is free, or a pooler leads it elsewhere: the others do its share
            session = self._hire()
            try:
                with session.transaction(self._lock, snapshot=exported):
                    # Another server can know a snapshot of that name.
                    if session.identify().place == self._place:
                        share.work(session, self._inspect)
            finally:
                session.close()


class _Share(Generic[Result]):
    """Tasks that several threads take from one list, until one fails."""

    def __init__(self, tasks: Sequence[Task[Result]]) -> None:
        self._pending = deque(enumerate(tasks))
        self._results: dict[int, Result] = {}
        self._busy: set[Session] = set()
        self._changed = threading.Condition()
        self._failure: BaseException | None = None

    def work(self, session: Session, inspect: Task[None] = lambda session: None) -> None:
        """Do tasks while there are any."""
        while (taken := self._take(session)) is not None:
            place, task = taken
            try:
                result = task(session)
                inspect(session)
            except BaseException as error:  # an interrupt too has to end what the others do
                self._give_up(error)
            else:
                self._results[place] = result
            with self._changed:
                self._busy.discard(session)
                self._changed.notify_all()

    def collected(self) -> list[Result]:
        """Wait for the others, and return all results in order. Whoever has no task by now is not waited for."""
        with self._changed:
            while self._busy:
                try:
                    self._changed.wait(CANCEL_AGAIN_SECONDS)
                except KeyboardInterrupt as interrupt:
                    self._give_up(interrupt)
                if self._failure is not None:
                    self._cancel()
        if self._failure is not None:
            raise self._failure
        return [self._results[place] for place in sorted(self._results)]

    def _take(self, session: Session) -> tuple[int, Task[Result]] | None:
        with self._changed:
            if not self._pending:
                return None
            self._busy.add(session)
            return self._pending.popleft()

    def _give_up(self, error: BaseException) -> None:
        with self._changed:
            self._pending.clear()
            if self._failure is None:
                self._failure = error
                self._cancel()

    def _cancel(self) -> None:
        for session in self._busy:
            session.cancel()
