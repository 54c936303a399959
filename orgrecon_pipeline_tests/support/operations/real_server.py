"""A PostgreSQL run from any binaries: standbys of the embedded server, and other builds than the wheel's."""

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

from orgrecon_pipeline.demo import postgres_wheel as wheel
from orgrecon_pipeline_tests.support.operations.moments import until

_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "listen_addresses": "",
         "timezone": "UTC", "wal_retrieve_retry_interval": "100ms"}


class RealServer:
    """Files in a directory, and maybe a postmaster; its socket is in the same place."""

    def __init__(self, binaries: Path, place: Path) -> None:
        self.binaries, self.place, self.data = binaries, place, place / "data"
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, tool: str, *arguments: str) -> None:
        """Run one of the build's tools, or of the system's, as the server's user."""
        program = self.binaries / tool
        program = program if program.exists() else Path(shutil.which(tool) or tool)
        done = subprocess.run([str(program), *arguments], capture_output=True, cwd="/", **_as_server())
        assert done.returncode == 0, done.stderr.decode()

    def start(self, **settings: str) -> None:
        options = [part for name, value in {**_FAST, **settings}.items() for part in ("-c", f"{name}={value}")]
        with (self.place / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self.binaries / "postgres"), "-D", str(self.data), "-k", str(self.place), *options],
                stdout=log, stderr=log, cwd="/", start_new_session=True, **_as_server())
        until(self._answers)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)

    def dsn(self, database: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql://{user}@/{database}?host={quote(str(self.place), safe='')}"

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.place / "log").read_text()
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.dsn()):
            return True
        return False


@contextlib.contextmanager
def real_server(binaries: Path) -> Iterator[RealServer]:
    """A place for a server, that stops and leaves nothing behind."""
    place = Path(tempfile.mkdtemp(prefix="orgrecon-", dir=wheel.short_directory()))
    if os.geteuid() == 0:
        os.chown(place, *wheel.identity(place / "none"))
    server = RealServer(binaries, place)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(place, ignore_errors=True)


def _as_server() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    user, group = wheel.identity(Path("/none"))
    return {"user": user, "group": group, "extra_groups": []}
