"""Watch of the lock queue, which stops a comparison for which a lock request has waited too long."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping.model import ScanSettings
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.dsn import Endpoint
from orgrecon_pipeline.postgres.locks.requests import LockRequest, read_requests, still_exists
from orgrecon_pipeline.postgres.session import APPLICATION_NAME, Session

#: Name of the connection in pg_stat_activity.
WATCH_NAME = f"{APPLICATION_NAME} lock watch"

_POLL_SECONDS = 0.5
_SHORTEST_POLL_SECONDS = 0.1
_STATEMENT_TIMEOUT_SECONDS = 5.0
# Time for a cancelled statement to end, before its connection is cut.
_CANCEL_SECONDS = 0.2
_RECONNECT_SECONDS = 10.0
_JOIN_SECONDS = 1.0


class LockWatch:
    """Thread that reads the lock queue of one database while the sessions of an attempt read the database.

    It connects when half of yield_seconds is over; no request can have waited too long before. It never raises: if it
    cannot read the lock queue, the attempt goes on, and ``problem`` says why.

    Attributes:
        request: the request that the attempt gives way to; None if there is none.
        passed: set when that request no longer waits or holds a lock, or when this cannot be read.
        problem: why the lock queue could not be read; empty if it could.
    """

    def __init__(self, endpoint: Endpoint, settings: ScanSettings, attempt: Deadline, whole: Deadline) -> None:
        """Prepare to watch the sessions of ``attempt``, which is a part of the ``whole`` deadline."""
        self.endpoint = endpoint
        self.request: LockRequest | None = None
        self.passed = threading.Event()
        self.problem = ""
        self._limit = settings.yield_seconds or _POLL_SECONDS
        self._settings = settings.model_copy(update={"statement_timeout_seconds": _STATEMENT_TIMEOUT_SECONDS})
        self._attempt, self._whole = attempt, whole
        self._poll = max(_SHORTEST_POLL_SECONDS, min(_POLL_SECONDS, self._limit / 4))
        self._session: Session | None = None
        self._failures = 0
        # A request may have waited since the last time that it was not in the lock queue.
        self._absent = 0.0
        self._since: dict[LockRequest, float] = {}
        self._ended = threading.Event()

    @contextmanager
    def running(self) -> Iterator[LockWatch]:
        """Watch while the block runs."""
        self._absent = time.monotonic()
        thread = threading.Thread(target=self._run, name="lock watch", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join(_JOIN_SECONDS)  # a thread that is connecting cannot be interrupted; it ends afterwards

    def _run(self) -> None:
        pause = self._limit / 2
        try:
            while not self._ended.wait(pause):
                try:
                    pause = self._step()
                    self._failures = 0
                except CannotDecide as failure:
                    pause = self._fail(str(failure))
        except Exception as error:  # a bug: the comparison goes on, and its report carries the warning
            self.problem = f"internal error {type(error).__name__}"
        finally:
            self.passed.set()
            self._disconnect()

    def _step(self) -> float:
        """Read the lock queue or end the attempt, and return the seconds until the next step."""
        readers = self._readers()
        if self.request is None:
            return self._look(readers)
        if readers:
            for reader in readers:
                reader.cancel()
                reader.disconnect()
            return _CANCEL_SECONDS
        with self._connected().transaction():
            if not still_exists(self._connected(), self.request):
                self.passed.set()
        return self._poll

    def _look(self, readers: list[Session]) -> float:
        """Stop the attempt if a request has waited too long; return the seconds until the next look."""
        now = time.monotonic()
        requests = self._read(readers)
        self._since = {request: self._since.get(request, self._absent) for request in requests}
        self._absent = now
        if not self._since:
            return self._poll
        request = min(self._since, key=self._since.__getitem__)
        left = self._since[request] + self._limit - time.monotonic()
        if left > 0:
            return min(left, self._poll)
        self.request = request
        self._attempt.stop(lambda: CannotDecide(f"the comparison gave way to {request}", ReasonCode.GAVE_WAY))
        return _CANCEL_SECONDS

    def _read(self, readers: list[Session]) -> list[LockRequest]:
        backends = {reader.backend for reader in readers if reader.backend and reader.endpoint == self.endpoint}
        if not backends:
            return []
        session = self._connected()
        with session.transaction():
            if session.backend is None or {backend.server for backend in backends} != {session.backend.server}:
                raise CannotDecide("another connection leads to another server")
            return read_requests(session, [backend.pid for backend in backends])

    def _readers(self) -> list[Session]:
        """Return the sessions of the attempt that are in a transaction."""
        return [work for work in self._attempt.registered if isinstance(work, Session) and work.backend]

    def _connected(self) -> Session:
        if self._session is None:
            self._session = Session(self.endpoint, self._settings, self._whole, WATCH_NAME)
        return self._session

    def _disconnect(self) -> None:
        if self._session is not None:
            self._session.close()
        self._session = None

    def _fail(self, problem: str) -> float:
        """Note a failure, and return the seconds until the next step."""
        self._disconnect()
        if self.request is not None and not self._readers():
            self.passed.set()  # the next attempt waits for the request when it takes its locks
        self._failures += 1
        if self._failures == 1:  # a new connection may work, for example after idle_session_timeout
            return _SHORTEST_POLL_SECONDS
        self.problem = problem
        return self._poll if self.request is not None else _RECONNECT_SECONDS
