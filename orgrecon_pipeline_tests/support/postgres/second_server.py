"""A server from the operating system, which has what the wheels lack: TLS and messages in other languages."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
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


_AUTHORITY = """
[ca]
default_ca = authority
[authority]
database = index
serial = serial
new_certs_dir = .
default_md = sha256
default_crl_days = 9
policy = any
unique_subject = no
certificate = ca.crt
private_key = ca.key
[any]
commonName = supplied
"""


class Certificates:
    """Certificates of a new authority, ``ca.crt`` with the revocation list ``ca.crl``, in a new directory.

    Their files are ``NAME.crt`` and ``NAME.key``.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(mode=0o755)
        self._openssl("req", "-x509", *_NEW_KEY, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=authority",
                      "-days", "30")
        (directory / "ca.cnf").write_text(_AUTHORITY)
        (directory / "index").touch()
        (directory / "serial").write_text("01")
        self._openssl("ca", "-config", "ca.cnf", "-gencrl", "-out", "ca.crl")

    def issue(self, name: str, subject: str, *, since: int = -2, until: int = 9, to_server: bool = False) -> None:
        """Issue a certificate that is valid from ``since`` to ``until`` days from now.

        Its key belongs to this user, or to the user of the server.
        """
        self._openssl("req", "-new", *_NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr",
                      "-subj", f"/CN={subject}")
        now = datetime.now(timezone.utc)
        start, end = (f"{now + timedelta(days=days):%Y%m%d%H%M%SZ}" for days in (since, until))
        self._openssl("ca", "-batch", "-config", "ca.cnf", "-in", f"{name}.csr", "-out", f"{name}.crt", "-notext",
                      "-startdate", start, "-enddate", end)
        self._give(name, to_server=to_server)

    def sign_itself(self, name: str, subject: str, *, to_server: bool = False) -> None:
        """Make a certificate that no authority issued."""
        self._openssl("req", "-x509", *_NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.crt",
                      "-subj", f"/CN={subject}", "-days", "9")
        self._give(name, to_server=to_server)

    def revoke(self, name: str) -> None:
        """Put a certificate into the revocation list."""
        self._openssl("ca", "-config", "ca.cnf", "-revoke", f"{name}.crt")
        self._openssl("ca", "-config", "ca.cnf", "-gencrl", "-out", "ca.crl")

    def encrypt(self, name: str) -> None:
        """Make ``NAME-encrypted.key``, a copy of the key of a certificate that needs a password."""
        self._openssl("ec", "-in", f"{name}.key", "-aes256", "-passout", "pass:secret", "-out", f"{name}-encrypted.key")
        (self.directory / f"{name}-encrypted.key").chmod(0o600)

    def _give(self, name: str, *, to_server: bool) -> None:
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
