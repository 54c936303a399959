"""The embedded server, and the database fixtures of all tests."""

from __future__ import annotations

import os
import select
import signal
import tempfile
from pathlib import Path

import psycopg
import pytest

from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline_tests.support.python_process import start_python

HOLD_UNTIL_KILLED = """
import sys
from pathlib import Path
from orgrecon_pipeline.demo.server import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
print(server.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def directory():
    with tempfile.TemporaryDirectory(prefix="orgrecon-pg-") as temporary:
        yield Path(temporary) / "data"


@pytest.fixture
def start_holder():
    holders = []

    def start(directory):
        holder = start_python(HOLD_UNTIL_KILLED, str(directory))
        holders.append(holder)
        return holder

    yield start
    for holder in holders:
        holder.kill()
        holder.communicate()


def table_names(connection):
    return [name for (name,) in connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")]


def answers(dsn):
    try:
        psycopg.connect(dsn).close()
    except psycopg.OperationalError:
        return False
    return True


def assert_ends(pid):
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([process], [], [], 60)[0], "the server is still running after a minute"
    finally:
        os.close(process)


def test_empty_database_fixture_has_no_tables(empty_database, connect):
    assert table_names(connect(empty_database)) == []


def test_company_database_fixture_has_tables_without_rows(company_database, connect):
    connection = connect(company_database)
    tables = table_names(connection)
    assert tables == ["org_unit_memberships", "org_units", "team_members", "teams", "tenants"]
    for table in tables:
        assert connection.execute(f"SELECT count(*) FROM public.{table}").fetchone() == (0,)


def test_new_databases_are_independent(new_database, template, connect):
    first, second = new_database(template), new_database(template)
    connect(first).execute("INSERT INTO public.tenants VALUES ('acme')")
    assert connect(second).execute("SELECT count(*) FROM public.tenants").fetchone() == (0,)


def test_server_has_fsync_off_and_utc(server):
    with psycopg.connect(server.dsn()) as connection:
        for setting, value in {"fsync": "off", "timezone": "UTC", "listen_addresses": ""}.items():
            assert connection.execute(f"SHOW {setting}").fetchone() == (value,)


def test_dsn_of_database_with_special_characters_connects(server):
    name = "odd /?&=%é'\"name"
    try:
        with psycopg.connect(server.create_database(name)) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == (name,)
    finally:
        server.drop_database(name)


def test_handles_share_a_server_and_the_last_one_stops_it_but_keeps_the_data(directory):
    first = EmbeddedServer(directory)
    dsn = first.create_database("kept")
    second = EmbeddedServer(directory)
    pid = first.pid
    assert second.pid == pid
    first.stop()
    first.stop()
    assert answers(dsn)
    second.stop()
    assert not answers(dsn)
    assert_ends(pid)
    with EmbeddedServer(directory) as third:
        assert answers(third.dsn("kept"))


def test_server_stops_only_when_its_last_user_is_killed(directory, start_holder):
    holders = [start_holder(directory) for _ in range(3)]
    pids = {int(holder.stdout.readline()) for holder in holders}
    assert len(pids) == 1, "three simultaneous processes must share one server"
    (pid,) = pids
    for holder in holders[:2]:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with EmbeddedServer(directory) as mine:
        assert mine.pid == pid
    os.kill(pid, 0)
    holders[2].send_signal(signal.SIGKILL)
    assert_ends(pid)


def test_killed_server_is_started_again(directory):
    with EmbeddedServer(directory) as first:
        pid = first.pid
        os.kill(pid, signal.SIGQUIT)
        assert_ends(pid)
        with EmbeddedServer(directory) as second:
            assert second.pid != pid
            assert answers(first.dsn())


def test_directory_too_long_for_a_socket_uses_a_private_temporary_one(directory):
    long = directory / ("d" * 60) / ("e" * 60)
    with EmbeddedServer(long) as server:
        assert answers(server.dsn())
        elsewhere = Path(psycopg.conninfo.conninfo_to_dict(server.dsn())["host"])
        assert elsewhere.stat().st_mode & 0o077 == 0, "every user who can reach the socket is superuser"
    assert not elsewhere.exists()


def test_directory_of_another_version_is_refused(directory):
    with EmbeddedServer(directory):
        pass
    (directory / "cluster/PG_VERSION").write_text("9.6\n")
    with pytest.raises(ConfigurationError, match=r"which PostgreSQL 9\.6 created: remove it"):
        EmbeddedServer(directory)


def test_server_that_cannot_start_names_its_log(directory):
    with EmbeddedServer(directory):
        pass
    (directory / "cluster" / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(ConfigurationError, match=r"does not start: see .*server\.log"):
        EmbeddedServer(directory)
    assert "no_such_setting" in (directory / "server.log").read_text()
