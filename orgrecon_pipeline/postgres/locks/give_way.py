"""Giving way: a comparison that blocks a lock request stops, waits for the request's transaction, and starts over."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Generic, TypeVar

from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping.model import ScanSettings
from orgrecon_pipeline.domain.reasons import ReasonCode, counted
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.dsn import Endpoints
from orgrecon_pipeline.postgres.errors import not_locked
from orgrecon_pipeline.postgres.locks.requests import LockRequest
from orgrecon_pipeline.postgres.locks.watch import LockWatch

Result = TypeVar("Result")

_POLL_SECONDS = 0.1
# Pause before another attempt: none the first time, and then one second longer each time.
_LONGEST_PAUSE_SECONDS = 10.0


@dataclass(frozen=True)
class Uninterrupted(Generic[Result]):
    """Result of an attempt that no lock request ended.

    Attributes:
        times: how many attempts gave way before.
        unwatched: why the lock queue could not be read, by environment variable of the database.
    """

    result: Result
    times: int
    unwatched: dict[str, str]


def give_way(
    attempt: Callable[[Deadline], Result], endpoints: Endpoints, settings: ScanSettings, deadline: Deadline,
    progress: Callable[[str], None] = lambda message: None,
) -> Uninterrupted[Result]:
    """Return the result of an attempt that did not have to give way, after as many as needed.

    The result or error of an attempt that had to give way is discarded.

    Args:
        attempt: reads the databases until the deadline that it is given, and closes its sessions.
        endpoints: the databases.
        settings: ``yield_seconds`` says how long a lock request may wait; None for any time.
        deadline: the deadline of all attempts.
        progress: receives progress messages.

    Raises:
        CannotDecide: if the attempt raises it, or if the deadline passes because attempts gave way.
    """
    if settings.yield_seconds is None:
        return Uninterrupted(attempt(deadline), 0, {})
    attempts = _Attempts(settings, deadline, progress)
    while True:
        try:
            done = attempts.run_one(attempt, endpoints)
        except CannotDecide as failure:
            raise attempts.explained(failure) from None
        if done is not None:
            return done


class _Attempts:
    """The attempts of one comparison, one after another."""

    def __init__(self, settings: ScanSettings, deadline: Deadline, progress: Callable[[str], None]) -> None:
        self._settings, self._deadline, self._progress = settings, deadline, progress
        self._times = 0
        self._last: LockRequest | None = None

    def run_one(self, attempt: Callable[[Deadline], Result], endpoints: Endpoints) -> Uninterrupted[Result] | None:
        """Return the result of one attempt. If it had to give way, return None when another one can start."""
        self._deadline.remaining()
        part = self._deadline.part()
        watched = [endpoints.source] if endpoints.one_database else [endpoints.source, endpoints.target]
        watches = [LockWatch(endpoint, self._settings, part, self._deadline) for endpoint in watched]
        try:
            with ExitStack() as stack:
                for watch in watches:
                    stack.enter_context(watch.running())
                try:
                    result = attempt(part)
                except CannotDecide as failure:
                    if not (self._gave_way(watches) or (self._times and not_locked(failure))):
                        raise
                    self._pause()
                    return None
                if self._gave_way(watches):
                    self._pause()
                    return None
                unwatched = {watch.endpoint.variable: watch.problem for watch in watches if watch.problem}
                return Uninterrupted(result, self._times, unwatched)
        finally:
            self._deadline.unregister(part)

    def explained(self, failure: CannotDecide) -> CannotDecide:
        """Return the error to raise instead of ``failure``: if the time is over, it names the last request."""
        request, interrupted = self._last, failure.reason.code is ReasonCode.INTERRUPTED
        if request is None or interrupted or not self._deadline.passed:
            return failure
        return CannotDecide(
            f"the comparison gave way {counted(self._times, 'time')} to a lock request and did not end within "
            f"deadline_seconds ({self._deadline.seconds:g} s); the last one was {request}: run the report when no "
            "migration runs, or on a standby", ReasonCode.GAVE_WAY, times=self._times, statement=request.statement,
            mode=request.mode, table=request.table)

    def _gave_way(self, watches: list[LockWatch]) -> bool:
        """Return whether the attempt had to give way; if so, wait until the requests have passed."""
        blocking = [watch for watch in watches if watch.request]
        if not blocking:
            return False
        self._times, self._last = self._times + 1, blocking[0].request
        self._progress(f"giving way to {self._last}, which waited for this comparison")
        for watch in blocking:
            while not watch.passed.is_set():
                self._deadline.remaining()
                self._deadline.sleep(_POLL_SECONDS)
        return True

    def _pause(self) -> None:
        self._deadline.sleep(min(self._times - 1, _LONGEST_PAUSE_SECONDS, self._deadline.remaining()))
        self._progress("starting the comparison over")
