"""A server from the operating system, which has what the wheels lack: TLS and messages in other languages."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from orgrecon_pipeline.demo.postgres_binaries import identity
from orgrecon_pipeline_tests.support.deploy.tools import installed
from orgrecon_pipeline_tests.support.operations.concurrency import wait_until
from orgrecon_pipeline_tests.support.operations.postgres_server import PostgresServer, postgres_server

_INSTALLED = Path("/usr/lib/postgresql")


def installed_server() -> Path:
    """Return the programs of the newest server of the operating system; skip or fail the test if there is none."""
    found = sorted(_INSTALLED.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not found:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("install Debian's package postgresql")
    return found[-1].parent


def free_port() -> int:
    """Return a TCP port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def second_server(rules: str, locale: str = "C", **settings: str) -> Iterator[PostgresServer]:
    """Yield a server of the operating system, with the given rules for clients before those of pg_hba.conf."""
    with postgres_server(installed_server()) as server:
        server.initialise(locale)
        hba = server.data / "pg_hba.conf"
        hba.write_text(rules + hba.read_text())
        server.start(**settings)
        yield server


class Certificates:
    """Certificates of a new authority, ``ca.crt``, in a new directory: files ``NAME.crt`` and ``NAME.key``."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(mode=0o755)
        self._openssl("req", "-x509", *_NEW_KEY, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=authority",
                      "-days", "9")

    def issue(self, name: str, subject: str, *, days: int = 9, to_server: bool = False) -> None:
        """Issue a certificate that is valid for some days; it has expired if they are negative.

        Its key belongs to this user, or to the user of the server.
        """
        self._openssl("req", "-new", *_NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr",
                      "-subj", f"/CN={subject}")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                      "-days", str(days), "-out", f"{name}.crt")
        if to_server and os.geteuid() == 0:
            os.chown(self.directory / f"{name}.key", *identity(Path("/none")))

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run([installed("openssl"), *arguments], cwd=self.directory, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def reconfigure(server: PostgresServer, **settings: str) -> None:
    """Change settings of a running server, and wait until new connections have them."""
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        for name, value in settings.items():
            admin.execute(psycopg.sql.SQL("ALTER SYSTEM SET {} = {}").format(psycopg.sql.Identifier(name), value))
        admin.execute("SELECT pg_reload_conf()")

    def have_changed() -> bool:
        with psycopg.connect(server.dsn()) as connection:
            return all(connection.execute("SELECT current_setting(%s)", [name]).fetchone() == (value,)
                       for name, value in settings.items())

    wait_until(have_changed)
