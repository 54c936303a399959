"""Advisory file locks, based on ``flock``: the kernel releases them when their process ends, however it ends.

A file system without locks raises :class:`OSError`; no lock file stands in for the lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class FileLock:
    """A lock on a file that stays; each instance is a separate holder, also within one process."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def acquire(self, *, exclusive: bool = True, wait: bool = True) -> bool:
        """Acquire the lock, or change its mode; return False if ``wait`` is False and another holder is in the way."""
        return _flock(self._file.fileno(), exclusive=exclusive, wait=wait)

    def release(self) -> None:
        """Release the lock; it can be acquired again."""
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Release the lock for good."""
        self._file.close()

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self.close()


@contextlib.contextmanager
def temporary_file_lock(path: Path) -> Iterator[bool]:
    """Hold an exclusive lock on a file that exists only while it is locked, without waiting.

    Yields:
        False if another holder has the lock.

    Raises:
        OSError: if the file cannot be created (a symbolic link is refused) or locked.
    """
    descriptor = _create_locked(path)
    if descriptor is None:
        yield False
        return
    try:
        yield True
    finally:
        with contextlib.suppress(OSError):
            if _has_path(descriptor, path):
                path.unlink()  # before the release: a process that has just opened it finds that the path is gone
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing releases nothing while a forked child has the file open
        os.close(descriptor)


@contextlib.contextmanager
def locked(descriptor: int, *, exclusive: bool = True) -> Iterator[None]:
    """Hold a lock on an open file or directory. Has no effect on a file system without locks."""
    with contextlib.suppress(OSError):
        _flock(descriptor, exclusive=exclusive, wait=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)


def try_lock(descriptor: int) -> bool:
    """Lock an open file exclusively; return False if another holder has it."""
    return _flock(descriptor, exclusive=True, wait=False)


def _flock(descriptor: int, *, exclusive: bool, wait: bool) -> bool:
    operation = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        fcntl.flock(descriptor, operation if wait else operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _create_locked(path: Path) -> int | None:
    """Return the descriptor of the locked file, or None if another holder has it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            locked = try_lock(descriptor)
            if locked and _has_path(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if not locked:
            return None
        # The previous holder removed the file after this process had opened it: lock the file that is there now.


def _has_path(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
