"""Writing a report so that a crash at any moment leaves the old bytes or the new ones.

Temp file in the same directory, fsync, rename, fsync of the directory. Everything happens relative to one open
directory, and no symbolic link in it is followed.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orgrecon_pipeline.domain.errors import ConfigurationError, EvidenceNotStored, OrgreconError
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.file_lock import try_lock
from orgrecon_pipeline.report.file_names import MAX_BYTES, file_name, shown
from orgrecon_pipeline.report.render import render

_TEMPORARY = re.compile(r"\.(?:[0-9]{4}-[0-9]{2}-[0-9]{2}\.md|probe)\.[0-9a-f]{16}\.tmp")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

# The path itself cannot be a directory of reports, whatever the state of the disk.
_WRONG_PATH = {errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.EISDIR}
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def write_report(directory: Path, record: Record) -> Path:
    """Write the report of a record, and return its path. A file that holds it already is left as it is.

    Raises:
        ConfigurationError: when the path cannot be a directory of reports.
        EvidenceNotStored: when the file cannot be written.
    """
    name = file_name(record.day)
    path = directory / name
    with _told(directory, path), _opened(directory) as place:
        content = render(record).encode("utf-8")
        if len(content) > MAX_BYTES:
            raise EvidenceNotStored(f"the report of {record.day} has more than {MAX_BYTES // 1024 // 1024} MiB: "
                                  "lower report.breakdown_limit and report.sample_keys in the mapping.")
        _remove_leftovers(place)
        if not _holds(place, path, content):
            _replace(place, name, content)
        # Also for a file that was there: the run that wrote it may have died before this.
        os.fsync(place)
    return path


def check_writable(directory: Path) -> None:
    """Prove before the work that its reports can be written; creates the directory.

    Raises:
        ConfigurationError: when the directory cannot be written to.
        EvidenceNotStored: when the disk is full or failing.
    """
    with _told(directory, directory, early=True), _opened(directory) as place:
        _remove_leftovers(place)
        with _temporary(place, "probe", b"\0" * 4096):
            pass


@contextmanager
def _told(directory: Path, path: Path, *, early: bool = False) -> Iterator[None]:
    """Turns what the operating system says into one line that says what to do."""
    try:
        yield
    except OrgreconError:
        raise
    except UnicodeEncodeError:
        raise EvidenceNotStored(f"{shown(path)} was not written: a name in the report is no Unicode.") from None
    except (OSError, ValueError) as failure:
        number = failure.errno if isinstance(failure, OSError) else errno.EINVAL
        why = os.strerror(number) if number else "unknown error"
        if number in _WRONG_PATH:
            raise ConfigurationError(
                f"{shown(directory)[:300]} cannot be the directory of the reports ({why}): name another."
            ) from None
        if number in _NO_SPACE:
            raise EvidenceNotStored(
                f"{shown(path)} was not written ({why}): make room, then try again."
            ) from None
        if early:
            raise ConfigurationError(
                f"{shown(directory)} cannot be written to ({why}): permit it, or name another directory."
            ) from None
        raise EvidenceNotStored(
            f"{shown(path)} was not written ({why}): permit writing to the directory, then try again."
        ) from None


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    _create(directory)
    place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield place
    finally:
        os.close(place)


def _create(directory: Path) -> None:
    missing = []
    while not directory.exists():
        missing.append(directory)
        directory = directory.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
        parent = os.open(new.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)


def _holds(place: int, path: Path, content: bytes) -> bool:
    """Whether the file is there with exactly this content."""
    try:
        found = os.stat(path.name, dir_fd=place, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if stat.S_ISLNK(found.st_mode):
        raise EvidenceNotStored(f"{shown(path)} is a symbolic link: remove it, then try again.")
    if not stat.S_ISREG(found.st_mode):
        raise EvidenceNotStored(f"{shown(path)} is not a regular file: move it away, then try again.")
    if found.st_size != len(content):
        return False
    try:
        descriptor = os.open(path.name, _READ, dir_fd=place)
    except OSError:
        return False  # replaced by what it should be
    with open(descriptor, "rb") as file:
        return file.read(len(content) + 1) == content


def _replace(place: int, name: str, content: bytes) -> None:
    with _temporary(place, name, content) as temporary:
        os.replace(temporary, name, src_dir_fd=place, dst_dir_fd=place)


@contextmanager
def _temporary(place: int, name: str, content: bytes) -> Iterator[str]:
    """A file that holds the content, safe on the disk; gone afterwards unless it was renamed."""
    temporary, descriptor = _new_temporary(place, name)
    try:
        try:
            left = memoryview(content)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
            yield temporary
        finally:
            # While it is open it is locked, and so nobody's leftover.
            os.close(descriptor)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=place)


def _new_temporary(place: int, name: str) -> tuple[str, int]:
    while True:
        temporary = f".{name}.{secrets.token_hex(8)}.tmp"
        descriptor = os.open(temporary, _CREATE, 0o644, dir_fd=place)
        locked = True
        with suppress(OSError):  # a file system without locks
            locked = try_lock(descriptor)
        if locked and os.fstat(descriptor).st_nlink:
            return temporary, descriptor
        os.close(descriptor)  # another run took it for a leftover, between its creation and its lock


def _remove_leftovers(place: int) -> None:
    """Remove the temp files of runs that died: theirs are the ones that nobody has locked."""
    for name in os.listdir(place):
        if not _TEMPORARY.fullmatch(name):
            continue
        with suppress(OSError):
            descriptor = os.open(name, _READ, dir_fd=place)
            try:
                if stat.S_ISREG(os.fstat(descriptor).st_mode) and try_lock(descriptor):
                    os.unlink(name, dir_fd=place)
            finally:
                os.close(descriptor)
