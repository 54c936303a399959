"""One PostgreSQL server per test process, and a database of its own for every test that asks for one."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql

from orgrecon_pipeline.demo.company import seed
from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline_tests.support.compiled_statements import share_compiled_statements
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.longest_first import longest_first

Connection = psycopg.Connection[tuple[Any, ...]]

# A shell ignores Ctrl+C in its background jobs, and so would every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_MEMORY = Path("/dev/shm")
_MEMORY_BYTES = 2**30

_numbers = itertools.count(1)


def _put_temporary_files_in_memory() -> None:
    """Let temporary files be in memory if there is enough; ledgers and databases spend most of their time on disks."""
    if (
        "TMPDIR" not in os.environ and _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK)
        and not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC  # tests write programs and run them
        and shutil.disk_usage(_MEMORY).free >= _MEMORY_BYTES
    ):
        os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)


_put_temporary_files_in_memory()
share_compiled_statements()
# The duration of an example says how busy the machine is.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
# Collecting imports all modules. Their objects live to the end, so the garbage collector need not look at them.
gc.disable()


@pytest.hookimpl(trylast=True)  # after the deselection
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let every worker begin with its share of the longest tests, so that none of them runs alone at the end."""
    items[:] = longest_first(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")), _timeout_beyond(config))


def _timeout_beyond(config: pytest.Config) -> Callable[[pytest.Item], float]:
    # A test that may take longer than others has a timeout of its own.
    usual = float(config.getini("timeout"))

    def timeout(item: pytest.Item) -> float:
        marker = item.get_closest_marker("timeout")
        return max(0.0, marker.args[0] - usual) if marker else 0.0

    return timeout


def pytest_collection_finish() -> None:
    """Start the garbage collector, for the objects of the tests alone."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """The embedded server of this test process; set ORGRECON_PG_BIN to test another version."""
    # pytest's own directory would not do: it keeps the files of recent sessions, and only its owner may enter it.
    with tempfile.TemporaryDirectory(prefix="orgrecon-pg-") as directory, EmbeddedServer(Path(directory)) as running:
        yield running


@pytest.fixture(scope="session")
def maintenance(server: EmbeddedServer) -> Iterator[Connection]:
    """A connection that creates and drops databases."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET autovacuum = off")
        connection.execute("SELECT pg_reload_conf()")
        yield connection


@pytest.fixture(scope="session")
def template_sql() -> str:
    """The statements that create the tables of the default mapping."""
    return (files("orgrecon_pipeline.demo") / "sql/company.sql").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def template(server: EmbeddedServer, maintenance: Connection, template_sql: str) -> str:
    """The name of a database that holds the tables of the default mapping, without rows. Never connect to it."""
    name = "company_template"
    _create_database(maintenance, name)
    with psycopg.connect(server.dsn(name), autocommit=True) as connection:
        connection.execute(template_sql)
    return name


@pytest.fixture(scope="session")
def seeded_template(server: EmbeddedServer, maintenance: Connection, template: str) -> str:
    """The name of a database like ``template`` with twelve small tenants, without drift. Never connect to it."""
    name = "seeded_template"
    _create_database(maintenance, name, template)
    with psycopg.connect(server.dsn(name), autocommit=True) as connection:
        seed(connection, tenants=12, users_per_tenant=8)
    return name


@pytest.fixture(scope="session")
def ledger_template(server: EmbeddedServer, maintenance: Connection) -> str:
    """The name of a database with an empty ledger. Never connect to it."""
    name = "ledger_template"
    _create_database(maintenance, name)
    open_ledger(server.dsn(name))
    return name


def _create_database(maintenance: Connection, name: str, template: str = "template1") -> None:
    statement = "CREATE DATABASE {} TEMPLATE {}"
    if maintenance.info.server_version >= 150000:
        statement += " STRATEGY file_copy"  # without fsync, a third of the time of the default, wal_log
    maintenance.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Identifier(template)))


@pytest.fixture
def new_database(server: EmbeddedServer, maintenance: Connection) -> Iterator[Callable[..., str]]:
    """``new_database(template="template1")`` creates a database and returns its DSN; all are dropped after the test."""
    names: list[str] = []

    def create(template: str = "template1") -> str:
        names.append(f"test_{next(_numbers)}")
        _create_database(maintenance, names[-1], template)
        return server.dsn(names[-1])

    yield create
    for name in names:
        maintenance.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def empty_database(new_database: Callable[..., str]) -> str:
    """The DSN of a database without any table."""
    return new_database()


@pytest.fixture
def company_database(new_database: Callable[..., str], template: str) -> str:
    """The DSN of a database with the tables of the default mapping, without rows."""
    return new_database(template)


@pytest.fixture
def seeded_database(new_database: Callable[..., str], seeded_template: str) -> str:
    """The DSN of a database with the tables of the default mapping and twelve small tenants, without drift."""
    return new_database(seeded_template)


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
