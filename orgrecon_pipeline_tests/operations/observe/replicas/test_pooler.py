"""Faults between the comparison and the database: poolers that swap servers, and sessions that end while idle."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.demo.postgres_binaries import find_binaries
from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline_tests.support.operations.concurrency import wait_until
from orgrecon_pipeline_tests.support.operations.postgres_server import postgres_server
from orgrecon_pipeline_tests.support.operations.site import READER, Site, fast_mapping, make_site
from orgrecon_pipeline_tests.support.operations.swapping_pooler import swapping_pooler

Connect = Callable[[str], psycopg.Connection[Any]]
A_LOSS = "DELETE FROM public.team_members WHERE ctid = (SELECT min(ctid) FROM public.team_members)"
SWAPPED = "the connection led to another database or server during the run"


@pytest.mark.parametrize("after", [2, 3, 4])  # the settings of the role are read in a transaction of their own
def test_pooler_that_swaps_databases_is_inconclusive(
    site: Site, after: int, new_database: Callable[..., str], template: str, connect: Connect, tmp_path: Path
) -> None:
    """The pooler switches to a database without drift after the preflight checks, the first read, and a recheck."""
    other = new_database(template)
    clean = make_site(connect(other), other, tmp_path / "other")
    site.run(A_LOSS)
    site.mapping = fast_mapping(rechecks=2)
    assert site.observe().verdict is Verdict.FAIL
    with swapping_pooler(site.dsn, clean.dsn, after=after) as pooled:
        seen = replace(site, dsn=pooled).observe()
    assert seen.verdict is Verdict.INCONCLUSIVE, seen.reason
    assert SWAPPED in seen.reason
    with swapping_pooler(site.dsn, clean.dsn, after=99) as pooled:
        assert replace(site, dsn=pooled).observe().verdict is Verdict.FAIL, "without a swap the drift is found"


def test_balancer_with_different_databases_reads_only_the_first(
    site: Site, new_database: Callable[..., str], template: str, connect: Connect, tmp_path: Path
) -> None:
    """Workers that reach the other database cannot import the snapshot, so none of its rows are used."""
    other = new_database(template)
    clean = make_site(connect(other), other, tmp_path / "other")
    before = site.observe()
    site.run(A_LOSS)
    site.mapping = fast_mapping(workers=4)
    with swapping_pooler(site.dsn, clean.dsn, after=0) as pooled:
        seen = replace(site, dsn=pooled).observe()
        assert (seen.verdict, seen.entities["org_unit_memberships"].unexpected) == (Verdict.FAIL, 1), seen.reason
        assert seen.entities["org_units"] == before.entities["org_units"]
        elsewhere = replace(site, dsn=pooled).observe()  # all its connections reach the other database
    assert elsewhere.verdict is Verdict.INCONCLUSIVE
    assert "orgrecon accept-source" in elsewhere.reason


def test_pooler_that_swaps_primary_and_standby_is_inconclusive(template_sql: str, tmp_path: Path) -> None:
    """Both have the same system identifier. On the standby, which lacks the loss, the drift would seem transient."""
    with (
        tempfile.TemporaryDirectory(prefix="orgrecon-pg-") as place, EmbeddedServer(Path(place)) as primary,
        psycopg.connect(primary.create_database("orgs"), autocommit=True) as admin,
        postgres_server(find_binaries()) as standby,
    ):
        admin.execute(template_sql)
        site = make_site(admin, primary.dsn("orgs"), tmp_path, tenants=3)
        socket = primary.dsn().split("host=")[1].replace("%2F", "/")
        standby.run("pg_basebackup", "-h", socket, "-U", "postgres", "-D", str(standby.data), "-X", "stream",
                    "-c", "fast")
        standby.run("touch", str(standby.data / "standby.signal"))
        standby.start()  # without a primary it replays nothing more, and nothing is pending
        site.run(A_LOSS)
        with swapping_pooler(site.dsn, standby.dsn("orgs", READER), after=2) as pooled:
            seen = replace(site, dsn=pooled).observe()
    assert seen.verdict is Verdict.INCONCLUSIVE, seen.reason
    assert SWAPPED in seen.reason


def test_session_ended_while_idle_reconnects(site: Site) -> None:
    """``idle_session_timeout`` ends the session between two reads; the comparison reconnects."""
    site.run(f"ALTER ROLE {READER} IN DATABASE {site.admin.info.dbname} SET idle_session_timeout = '200ms'")
    site.mapping = fast_mapping(rechecks=3)

    def wait_for_the_end_of_the_session(seconds: float) -> None:
        wait_until(lambda: site.admin.execute(
            "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'orgrecon' "
            "AND datname = current_database()").fetchone() == (True,))

    site.run(A_LOSS)
    seen = site.observe(wait=wait_for_the_end_of_the_session)
    assert (seen.verdict, seen.entities["org_unit_memberships"].unexpected) == (Verdict.FAIL, 1), seen.reason
    assert seen.compared["rechecks_done"] == 3

    def refuse_new_connections(seconds: float) -> None:
        wait_for_the_end_of_the_session(seconds)
        site.run(f"ALTER ROLE {READER} CONNECTION LIMIT 0")

    try:
        seen = site.observe(wait=refuse_new_connections)
    finally:
        site.run(f"ALTER ROLE {READER} CONNECTION LIMIT -1")
    assert seen.verdict is Verdict.INCONCLUSIVE
    assert "cannot connect to the database of DATABASE_URL" in seen.reason


def test_transaction_timeout_of_the_role_is_overridden(site: Site) -> None:
    """PostgreSQL 17 and later have ``transaction_timeout``; the comparison uses ``deadline_seconds`` instead."""
    if site.admin.info.server_version < 170_000:
        pytest.skip("this server has no transaction_timeout")
    site.run(f"ALTER ROLE {READER} IN DATABASE {site.admin.info.dbname} SET transaction_timeout = '100ms'", A_LOSS)

    def last(line: str) -> None:
        if "fingerprints" in line:
            wait_until(lambda: site.admin.execute(
                "SELECT max(clock_timestamp() - xact_start) > '150ms' FROM pg_stat_activity "
                "WHERE application_name = 'orgrecon' AND datname = current_database()").fetchone() == (True,))

    assert site.observe(progress=last).verdict is Verdict.FAIL


def test_server_that_is_not_postgresql_is_inconclusive(site: Site) -> None:
    """An HTTP server listens on the port."""
    import socket
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listening:
        def answer() -> None:
            client, _ = listening.accept()
            client.recv(100)
            client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            client.close()

        threading.Thread(target=answer, daemon=True).start()
        site.dsn = f"postgresql://a@127.0.0.1:{listening.getsockname()[1]}/b"
        seen = site.observe()
    assert seen.verdict is Verdict.INCONCLUSIVE
    assert "the program listening there is not a PostgreSQL server" in seen.reason
