"""PostgreSQL servers from any binaries: standbys of the embedded server, and other versions."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from orgrecon_pipeline.demo import postgres_binaries
from orgrecon_pipeline_tests.support.operations.concurrency import wait_until

_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "listen_addresses": "",
         "timezone": "UTC", "wal_retrieve_retry_interval": "100ms"}


def find_program(name: str, binaries: Path | None = None) -> Path:
    """Return a program such as psql: of the server, or else of another one, because some servers have no clients."""
    for directory in (binaries or postgres_binaries.find_binaries(), *postgres_binaries.installed_binaries()):
        if (directory / name).is_file():
            return directory / name
    return Path(shutil.which(name) or name)


class PostgresServer:
    """A data directory and a postmaster, whose socket is in the parent directory."""

    def __init__(self, binaries: Path, directory: Path) -> None:
        self.binaries, self.directory, self.data = binaries, directory, directory / "data"
        self._port = "5432"
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, tool: str, *arguments: str) -> None:
        """Run a tool of the server, or else of another one or of the system, as the user of the server."""
        program = find_program(tool, self.binaries)
        done = subprocess.run([str(program), *arguments], capture_output=True, cwd="/", **_as_server())
        assert done.returncode == 0, done.stderr.decode()

    def initialise(self, locale: str = "C") -> None:
        """Create the data directory, of UTF-8 databases that every local user may use."""
        self.run("initdb", "-D", str(self.data), "-U", "postgres", "--auth=trust", "--encoding=UTF8",
                 f"--locale={locale}", "--no-sync")

    def start(self, **settings: str) -> None:
        self._port = settings.get("port", self._port)
        options = [part for name, value in {**_FAST, **settings}.items() for part in ("-c", f"{name}={value}")]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self.binaries / "postgres"), "-D", str(self.data), "-k", str(self.directory), *options],
                stdout=log, stderr=log, cwd="/", start_new_session=True, **_as_server())
        wait_until(self._answers)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)

    def dsn(self, database: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql://{user}@/{database}?host={quote(str(self.directory), safe='')}&port={self._port}"

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.directory / "log").read_text()
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.dsn()):
            return True
        return False


@contextlib.contextmanager
def postgres_server(binaries: Path) -> Iterator[PostgresServer]:
    """Yield a server in a temporary directory; stop and remove it afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="orgrecon-", dir=postgres_binaries.short_directory()))
    if os.geteuid() == 0:
        os.chown(directory, *postgres_binaries.identity(directory / "none"))
    server = PostgresServer(binaries, directory)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _as_server() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    user, group = postgres_binaries.identity(Path("/none"))
    return {"user": user, "group": group, "extra_groups": []}
