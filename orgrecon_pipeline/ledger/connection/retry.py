"""Retries of calls to a ledger that does not answer, for a limited time.

A ledger uses the :class:`RetryBudget` of the block in which it is opened. So all ledgers that a run opens share one
limit, also across the steps of a Dagster run in this process.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from orgrecon_pipeline.domain.errors import LedgerUnavailable

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0

P = ParamSpec("P")
T = TypeVar("T")


class RetryBudget:
    """Time that all calls together may spend on a ledger that does not answer.

    Args:
        seconds: the limit; with 0, every failure is raised at once.
        say: receives a line when a call begins to wait, and when the ledger answers again.
        sleep: waits for a number of seconds.
        now: returns the seconds of a monotonic clock.
    """

    def __init__(
        self, seconds: float = 0, say: Callable[[str], object] = lambda line: None, *,
        sleep: Callable[[float], object] = time.sleep, now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds, self._left = seconds, seconds
        self._say, self._sleep, self._now = say, sleep, now

    def retry(self, call: Callable[[], T]) -> T:
        """Return the result of ``call``; retry it, with increasing pauses, while it raises LedgerUnavailable.

        Raises:
            LedgerUnavailable: if the time is used up.
        """
        failures, since = 0, self._now()
        while True:
            began = self._now()
            try:
                result = call()
            except LedgerUnavailable as failure:
                self._left -= self._now() - began
                if self._left <= 0:
                    raise self._given_up(failure) if failures else failure from None
                if not failures:
                    self._say(f"{str(failure).rstrip('.')}; trying again for up to {self._left:.0f} s.")
                self._pause(failures)
                failures += 1
            else:
                if failures:
                    self._say(f"the ledger answers again after {self._now() - since:.0f} s.")
                return result

    def _pause(self, failures: int) -> None:
        # Jitter keeps runs that lost the same server from coming back all at once.
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(failures, 10))
        pause = min(longest * random.uniform(0.5, 1), self._left)  # noqa: S311 - no secret
        began = self._now()
        try:
            self._sleep(pause)
        except BaseException:  # an interrupt ends all waiting
            self._left = 0
            raise
        self._left -= self._now() - began

    def _given_up(self, failure: LedgerUnavailable) -> LedgerUnavailable:
        return LedgerUnavailable(
            f"{str(failure).rstrip('.')}; gave up after {self.seconds:g} s (scan.deadline_seconds).")


_NONE = RetryBudget()
_current: ContextVar[RetryBudget] = ContextVar("orgrecon_retry_budget", default=_NONE)


def current_budget() -> RetryBudget:
    """Return the budget of the innermost :func:`retry_budget` block; outside of such blocks, one of 0 seconds."""
    return _current.get()


@contextmanager
def retry_budget(budget: RetryBudget) -> Iterator[None]:
    """Set the budget of ledgers that are opened in the block, unless an outer block has set one."""
    token = _current.set(_current.get() if _current.get().seconds else budget)
    try:
        yield
    finally:
        _current.reset(token)


class _Retrying(Protocol):
    @property
    def budget(self) -> RetryBudget: ...


S = TypeVar("S", bound=_Retrying)


def retried(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Retry a method of a ledger while the ledger does not answer. The method must be idempotent."""

    @wraps(method)
    def retry(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.budget.retry(lambda: method(self, *args, **kwargs))

    return retry
