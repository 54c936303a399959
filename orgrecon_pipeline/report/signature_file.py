"""The file of a report's signature, ``YYYY-MM-DD.md.sig`` next to the report."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.report.render import render

if TYPE_CHECKING:
    from orgrecon_pipeline.report.signature import PublicKey

SIGNATURE_SUFFIX = ".sig"
_MAX_BYTES = 4096


def signature_path(report: Path) -> Path:
    """Return the path of a report's signature."""
    return report.with_name(report.name + SIGNATURE_SUFFIX)


def read_signature(path: Path | str, directory: int | None = None) -> bytes | None:
    """Return the content of a signature file, None if it does not exist; symbolic links are not followed.

    A file that cannot be a signature counts as an empty one. ``path`` is relative to the open ``directory``.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError:
        return b""
    with open(descriptor, "rb") as file:
        with suppress(OSError):
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return file.read(_MAX_BYTES)
        return b""


def valid_signature(report: Path, record: Record) -> bytes | None:
    """Return the signature of a sound report, by any key; None if there is none that matches."""
    signature = read_signature(signature_path(report))
    return signature if signature and matches(render(record).encode("utf-8"), signature) else None


def matches(content: bytes, signature: bytes) -> bool:
    """Return whether a signature was made for this content, by any key."""
    from orgrecon_pipeline.report.signature import BadSignature, signer_of  # slow to import

    try:
        signer_of(content, signature)
    except BadSignature:
        return False
    return True


def signature_problem(report: Path, content: bytes, keys: Collection[PublicKey]) -> str:
    """Return why a report does not count as signed by one of ``keys``, as a predicate; empty if it does."""
    from orgrecon_pipeline.report.signature import BadSignature, signer_of  # slow to import

    signature = read_signature(signature_path(report))
    if signature is None:
        return "is not signed: find out who wrote it"
    try:
        signer = signer_of(content, signature)
    except BadSignature as problem:
        return str(problem)
    return "" if signer in keys else f"is signed by another key ({signer.fingerprint}): find out whose it is"
