"""One PostgreSQL per test process, and a database of its own for every test that asks for one."""

from __future__ import annotations

import itertools
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.demo import postgres_wheel as wheel
from orgrecon_pipeline.demo.server import EmbeddedServer

Connection = psycopg.Connection[tuple[Any, ...]]

# In a background job of a shell Ctrl+C is ignored, and so by every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_numbers = itertools.count(1)

#: Names the ``bin`` directory of another PostgreSQL, to run the tests on that version.
OTHER_BINARIES = "ORGRECON_TEST_POSTGRES"


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """The embedded server of this test process."""
    if other := os.environ.get(OTHER_BINARIES):
        wheel.binaries = lambda: Path(other)
    # Not in pytest's own directory: that keeps the last sessions' files, and only root itself may pass through it.
    with tempfile.TemporaryDirectory(prefix="orgrecon-pg-") as place, EmbeddedServer(Path(place)) as running:
        yield running


@pytest.fixture(scope="session")
def template(server: EmbeddedServer) -> str:
    """The name of a database that holds the tables of the default mapping, without rows. Never connect to it."""
    name = "company_template"
    with psycopg.connect(server.create_database(name), autocommit=True) as connection:
        connection.execute((files("orgrecon_pipeline.demo") / "sql/company.sql").read_text(encoding="utf-8"))
    return name


@pytest.fixture
def new_database(server: EmbeddedServer) -> Iterator[Callable[..., str]]:
    """``new_database(template=None)`` creates a database and returns its DSN; all are dropped after the test."""
    names: list[str] = []

    def create(template: str | None = None) -> str:
        name = f"test_{next(_numbers)}"
        names.append(name)
        return server.create_database(name, template)

    yield create
    for name in names:
        server.drop_database(name)


@pytest.fixture
def empty_database(new_database: Callable[..., str]) -> str:
    """The DSN of a database without any table."""
    return new_database()


@pytest.fixture
def company_database(new_database: Callable[..., str], template: str) -> str:
    """The DSN of a database with the tables of the default mapping, without rows."""
    return new_database(template)


@pytest.fixture
def connect() -> Iterator[Callable[[str], Connection]]:
    """``connect(dsn)`` opens an autocommit connection as superuser, closed after the test."""
    opened: list[Connection] = []

    def open_connection(dsn: str) -> Connection:
        connection = psycopg.connect(dsn, autocommit=True)
        opened.append(connection)
        return connection

    yield open_connection
    for connection in opened:
        connection.close()
