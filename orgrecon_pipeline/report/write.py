"""Writing of reports and their signatures. A crash at any moment leaves the old bytes or the new ones.

A file is written to a temporary file in the same directory, which is synced and renamed; then the directory is
synced. All file operations are relative to one open directory, and no symbolic link in it is followed. A stale
signature is removed before its report is replaced: after a crash, a report is unsigned, but never has the signature of
other bytes.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orgrecon_pipeline.domain.errors import ConfigurationError, EvidenceNotStored, OrgreconError
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.file_lock import locked, try_lock
from orgrecon_pipeline.report.file_names import MAX_BYTES, file_name, shown
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline.report.signature_file import SIGNATURE_SUFFIX, matches, read_signature

_TEMPORARY = re.compile(r"\.(?:[0-9]{4}-[0-9]{2}-[0-9]{2}\.md(?:\.sig)?|probe)\.[0-9a-f]{16}\.tmp")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

# Errors which mean that the path can never be a directory of reports.
_WRONG_PATH = {errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.EISDIR}
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def write_report(directory: Path, record: Record, sign: Callable[[bytes], bytes] | None = None) -> Path:
    """Write the report of a record and return its path. A file with the same content is not replaced.

    ``sign`` returns the signature of the report's bytes. Without it, a signature that matches the report stays, and any
    other is removed.

    Raises:
        ConfigurationError: if the path cannot be a directory of reports.
        EvidenceNotStored: if the file cannot be written.
    """
    name = file_name(record.day)
    path = directory / name
    with _as_user_error(directory, path), _open_directory(directory) as descriptor:
        content = render(record).encode("utf-8")
        if len(content) > MAX_BYTES:
            raise EvidenceNotStored(f"the report of {record.day} is larger than {MAX_BYTES // 1024 // 1024} MiB: "
                                    "lower report.breakdown_limit and report.sample_keys in the mapping.")
        _remove_leftovers(descriptor)
        signature = sign(content) if sign else None
        with locked(descriptor):  # two runs of one day must not mix their reports and signatures
            if not _has_content(descriptor, path, content):
                with _temporary_file(descriptor, name, content) as temporary:
                    _remove_stale_signature(descriptor, name, content)
                    _rename(descriptor, temporary, name)
            _write_signature(descriptor, path, content, signature)
            # Also for unchanged files, because the run that wrote them may have crashed before its sync.
            os.fsync(descriptor)
    return path


def check_writable(directory: Path) -> None:
    """Create the directory of reports, and check before a run that reports can be written to it.

    Raises:
        ConfigurationError: if the directory cannot be written to.
        EvidenceNotStored: if the disk is full or failing.
    """
    with _as_user_error(directory, directory, probing=True), _open_directory(directory) as descriptor:
        _remove_leftovers(descriptor)
        with _temporary_file(descriptor, "probe", b"\0" * 4096):
            pass


@contextmanager
def _as_user_error(directory: Path, path: Path, *, probing: bool = False) -> Iterator[None]:
    """Turn an error of the operating system into one line that says what to do."""
    try:
        yield
    except OrgreconError:
        raise
    except UnicodeEncodeError:
        raise EvidenceNotStored(f"{shown(path)} was not written: a name in the report is not valid Unicode.") from None
    except (OSError, ValueError) as failure:
        number = failure.errno if isinstance(failure, OSError) else errno.EINVAL
        why = os.strerror(number) if number else "unknown error"
        if number in _WRONG_PATH:
            raise ConfigurationError(
                f"{shown(directory)[:300]} cannot be a directory of reports ({why}): choose another.") from None
        if probing and number not in _NO_SPACE:
            raise ConfigurationError(f"{shown(directory)} cannot be written to ({why}): grant the permission, or "
                                     "choose another directory.") from None
        advice = "free some space" if number in _NO_SPACE else "grant the permission to write to the directory"
        raise EvidenceNotStored(f"{shown(path)} was not written ({why}): {advice}, then try again.") from None


@contextmanager
def _open_directory(directory: Path) -> Iterator[int]:
    """Open a directory, and create it durably if it does not exist."""
    if not directory.exists():
        with _open_directory(directory.parent) as parent:
            directory.mkdir(exist_ok=True)
            os.fsync(parent)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _has_content(directory: int, path: Path, content: bytes) -> bool:
    """Return whether the file exists with exactly this content."""
    try:
        status = os.stat(path.name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if stat.S_ISLNK(status.st_mode):
        raise EvidenceNotStored(f"{shown(path)} is a symbolic link: remove it, then try again.")
    if not stat.S_ISREG(status.st_mode):
        raise EvidenceNotStored(f"{shown(path)} is not a regular file: move it away, then try again.")
    if status.st_size != len(content):
        return False
    try:
        descriptor = os.open(path.name, _READ, dir_fd=directory)
    except OSError:
        return False  # an unreadable file is replaced
    with open(descriptor, "rb") as file:
        return file.read(len(content) + 1) == content


def _write_signature(directory: int, report: Path, content: bytes, signature: bytes | None) -> None:
    """Write the signature of a report, or without one, remove a signature that does not match."""
    path = report.with_name(report.name + SIGNATURE_SUFFIX)
    if signature is None:
        _remove_stale_signature(directory, report.name, content)
    elif not _has_content(directory, path, signature):
        with _temporary_file(directory, path.name, signature) as temporary:
            _rename(directory, temporary, path.name)


def _remove_stale_signature(directory: int, name: str, content: bytes) -> None:
    """Remove the signature of a report unless it matches the content that the report has or is about to get."""
    present = read_signature(name + SIGNATURE_SUFFIX, directory)
    if present is None or matches(content, present):
        return
    with suppress(FileNotFoundError):
        os.unlink(name + SIGNATURE_SUFFIX, dir_fd=directory)
        os.fsync(directory)  # a crash must not undo the removal after the report was replaced


def _rename(directory: int, temporary: str, name: str) -> None:
    os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)


@contextmanager
def _temporary_file(directory: int, name: str, content: bytes) -> Iterator[str]:
    """Write a temporary file and sync it to the disk; on exit, remove it unless it was renamed."""
    temporary, descriptor = _create_temporary(directory, name)
    try:
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
            yield temporary
        finally:
            # The open file is locked, so that no other run takes it for a leftover.
            os.close(descriptor)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=directory)


def _create_temporary(directory: int, name: str) -> tuple[str, int]:
    while True:
        temporary = f".{name}.{secrets.token_hex(8)}.tmp"
        descriptor = os.open(temporary, _CREATE, 0o644, dir_fd=directory)
        locked = True
        with suppress(OSError):  # a file system without locks
            locked = try_lock(descriptor)
        if locked and os.fstat(descriptor).st_nlink:
            return temporary, descriptor
        os.close(descriptor)  # between creation and lock, another run removed it as a leftover


def _remove_leftovers(directory: int) -> None:
    """Remove temporary files of crashed runs, which no process has locked."""
    for name in os.listdir(directory):
        if not _TEMPORARY.fullmatch(name):
            continue
        with suppress(OSError):
            descriptor = os.open(name, _READ, dir_fd=directory)
            try:
                if stat.S_ISREG(os.fstat(descriptor).st_mode) and try_lock(descriptor):
                    os.unlink(name, dir_fd=directory)
            finally:
                os.close(descriptor)
