"""Waiting for concurrent work, and cancelling all of it when one part fails."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from typing import Any, TypeVar

Result = TypeVar("Result")

# How often to wake up, to notice a signal that another thread received, and to repeat a cancel request.
_POLL_SECONDS = 1.0


def as_completed(futures: Collection[Future[Result]]) -> Iterator[Future[Result]]:
    """Yield each future when it has ended. Unlike the standard library's function, notice Ctrl+C while waiting."""
    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        yield from done


@contextmanager
def cancelled_on_error(futures: Collection[Future[Any]], cancel: Callable[[], None]) -> Iterator[None]:
    """If the block raises, cancel all futures, and wait for those that are already running.

    ``cancel`` cancels what is running. It is called until that has ended, because a cancel request that arrives between
    two statements has no effect.
    """
    try:
        yield
    except BaseException:
        running = [future for future in futures if not future.cancel()]
        cancel()
        while wait(running, timeout=_POLL_SECONDS).not_done:
            cancel()
        raise
