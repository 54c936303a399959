"""The identity of a directory of reports: all of its reports must belong to one."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Container
from datetime import date
from functools import lru_cache
from pathlib import Path

from orgrecon_pipeline.domain.errors import OtherIdentity
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.report.file_names import MAX_BYTES, shown
from orgrecon_pipeline.report.render import RECORD_PREFIX, RECORD_SUFFIX
from orgrecon_pipeline.report.verify import report_files


def require_own_reports(directory: Path, identity: Identity, read: Container[date] = ()) -> None:
    """Require that no report of a directory names another identity, without verifying the reports.

    The reports of the days in ``read`` were read already, as reports of the identity.

    Raises:
        OtherIdentity: if one does; the message names the first.
        UnsoundTrail: if the directory cannot be listed.
    """
    for day, path in report_files(directory):
        named = None if day in read else _named_identity(path)
        if named is not None and named != identity:
            raise OtherIdentity(shown(path), named, identity)


def _named_identity(path: Path) -> Identity | None:
    """Return the identity that the record in a file names, None if the file holds no readable record."""
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
            return None
        return _read_identity(path, status.st_mtime_ns, status.st_size, status.st_ino)
    except OSError:
        return None


@lru_cache(maxsize=4096)  # every operation on a day checks the whole directory
def _read_identity(path: Path, *_version: int) -> Identity | None:
    line = path.read_text(encoding="utf-8", errors="replace").rpartition(RECORD_PREFIX)[2]
    try:
        record = json.loads(line.rstrip("\n").removesuffix(RECORD_SUFFIX))
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    migration, environment = record.get("migration"), record.get("environment")
    return Identity(migration, environment) if isinstance(migration, str) and isinstance(environment, str) else None
