"""Embedded PostgreSQL server for the demo and the tests. Durability is switched off: do not keep data in it.

The server's programs are run directly. The launchers of the wheels would, as root, add a system user and make every
parent directory of the data world-readable. They would also leave the server of a killed process running.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from orgrecon_pipeline.demo import postgres_binaries
from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.file_lock import FileLock

_START_SECONDS = 60.0
# The data need not survive a crash, and flushing to disk takes most of the time of a short test.
_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "listen_addresses": "",
             "timezone": "UTC", "log_timezone": "UTC"}


class EmbeddedServer:
    """A running PostgreSQL on a Unix socket, as a context manager.

    Handles with the same directory share one server, also across processes. The server stops when its last handle is
    stopped or the process of its last handle ends. The data directory is created if it does not exist.

    Raises:
        ConfigurationError: if there is no server or the server does not start.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.absolute()
        self._bin_dir = postgres_binaries.find_binaries()
        self._cluster = self.data_dir / "cluster"
        self._guard: subprocess.Popen[bytes] | None = None
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"cannot create {self.data_dir}: {error.strerror}; choose a writable directory.") from None
        with FileLock(self.data_dir / "start.lock"):
            self._users: FileLock | None = FileLock(self.data_dir / "users.lock")
            self._users.acquire(exclusive=False)  # waits while the server is stopping
            try:
                if not self._answers():
                    self._start()
            except BaseException:
                self._users.close()
                raise

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        return int(self._postmaster_lines()[0])

    def dsn(self, database: str = "postgres") -> str:
        """Return the superuser's connection URL of a database."""
        socket_dir = self._postmaster_lines()[4]
        return f"postgresql://postgres@/{quote(database, safe='')}?host={quote(socket_dir, safe='')}"

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create a database, optionally a copy of a ``template`` without connections, and return its DSN."""
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        with self._maintenance() as connection:
            connection.execute(statement)
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, if it exists, and close its connections."""
        with self._maintenance() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def stop(self) -> None:
        """Release the handle; the last one stops the server. The files stay."""
        users, self._users = self._users, None
        if users is None:
            return
        users.release()
        if users.acquire(wait=False):
            self._shut_down()
        elif not users.acquire(exclusive=False, wait=False):
            # postmaster.py holds the lock exclusively and is stopping the server: wait until it is done.
            users.acquire(exclusive=False)
        users.close()
        if self._guard is not None and not self._cluster.joinpath("postmaster.pid").exists():
            self._guard.wait()

    def __enter__(self) -> EmbeddedServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _maintenance(self) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.dsn("postgres"), autocommit=True, connect_timeout=10)

    def _postmaster_lines(self) -> list[str]:
        return (self._cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()

    def _answers(self) -> bool:
        # The file may be half written, or left by a server that was killed.
        with contextlib.suppress(OSError, IndexError, psycopg.OperationalError), self._maintenance():
            return True
        return False

    def _start(self) -> None:
        identity = postgres_binaries.identity(self._cluster)
        postgres_binaries.make_searchable(self._bin_dir, self.data_dir)
        log = self.data_dir / "server.log"
        if self._cluster.exists():
            self._require_same_version()
        else:
            self._initialise(identity, log)
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        sockets = self._socket_dir(identity)
        command = [str(self._bin_dir / "postgres"), "-D", str(self._cluster), "-k", sockets]
        guard = Path(__file__).with_name("postmaster.py")
        with log.open("ab") as output:
            # In its own session, so that Ctrl-C reaches only the demo, which then stops the server.
            self._guard = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", str(guard), str(self.data_dir / "users.lock"),
                 "" if sockets == str(self._cluster) else sockets, *map(str, identity), *command, *settings],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd="/")
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._guard.poll() is not None or time.monotonic() > deadline:
                raise ConfigurationError(f"the embedded PostgreSQL does not start: see {log}.")
            time.sleep(0.01)

    def _require_same_version(self) -> None:
        cluster = (self._cluster / "PG_VERSION").read_text(encoding="ascii").strip()
        server = postgres_binaries.major_version(self._bin_dir)
        if cluster != server:
            raise ConfigurationError(
                f"PostgreSQL {server} cannot open {self.data_dir}, which PostgreSQL {cluster} created: remove it, or "
                f"set {postgres_binaries.BINARIES_VARIABLE} to the bin directory of PostgreSQL {cluster}.")

    def _initialise(self, identity: tuple[int, int], log: Path) -> None:
        # In another directory first: if initdb is killed, its files must not look like a complete cluster.
        new_cluster = self.data_dir / "cluster.new"
        shutil.rmtree(new_cluster, ignore_errors=True)
        new_cluster.mkdir(mode=0o700)
        run_as: dict[str, Any] = {}
        if os.geteuid() == 0:
            os.chown(new_cluster, *identity)
            run_as = {"user": identity[0], "group": identity[1], "extra_groups": []}
        with log.open("ab") as output:
            initdb = subprocess.run(  # noqa: S603
                [str(self._bin_dir / "initdb"), "-D", str(new_cluster), "-U", "postgres", "--auth=trust",
                 "--encoding=UTF8", "--no-locale", "--no-sync"],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False, cwd="/", **run_as)
        if initdb.returncode:
            raise ConfigurationError(f"the embedded PostgreSQL cannot create its files: see {log}.")
        new_cluster.rename(self._cluster)

    def _socket_dir(self, identity: tuple[int, int]) -> str:
        # With trust authentication, every user who can reach the socket is superuser: its directory must be private.
        if postgres_binaries.fits_a_socket(self._cluster):
            return str(self._cluster)
        short = tempfile.mkdtemp(prefix="orgrecon-", dir=postgres_binaries.short_directory())
        if os.geteuid() == 0:
            os.chown(short, *identity)
        return short

    def _shut_down(self) -> None:
        try:
            pid = self.pid
        except (OSError, LookupError, ValueError):
            return  # the server has already stopped
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
        while (self._cluster / "postmaster.pid").exists() and _alive(pid):
            time.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
