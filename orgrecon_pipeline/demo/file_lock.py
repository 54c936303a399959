"""Advisory locks on a file. The kernel releases them with the process that holds them, however it ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


class UserLock:
    """One handle on a lock file; a second handle in the same process is another holder."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def take(self, *, exclusive: bool, wait: bool = True) -> bool:
        """Takes the lock; False when it is not to wait and another holder is in the way."""
        import fcntl  # not on Windows

        operation = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        try:
            fcntl.flock(self._file, operation | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Gives the lock back and keeps the handle."""
        import fcntl

        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Gives lock and handle back."""
        self._file.close()


@contextlib.contextmanager
def exclusively(path: Path) -> Iterator[None]:
    """Holds the lock alone."""
    lock = UserLock(path)
    try:
        lock.take(exclusive=True)
        yield
    finally:
        lock.close()
