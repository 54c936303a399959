"""Copies of a server with its system identifier: clones that were opened for writing, and restored backups."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest

from orgrecon_pipeline.demo.postgres_binaries import find_binaries
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.operations.observe.acknowledge import accept_source
from orgrecon_pipeline.operations.trail.importer import import_trail
from orgrecon_pipeline.operations.trail.publish import publish, record_of
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.operations.postgres_server import PostgresServer, postgres_server
from orgrecon_pipeline_tests.support.operations.site import READER, Site, make_site, open_site

A_LOSS = "DELETE FROM public.team_members WHERE ctid = (SELECT min(ctid) FROM public.team_members)"
REGRESSED = (Verdict.INCONCLUSIVE, ReasonCode.DATABASE_REGRESSED)


@dataclass
class Clones:
    """A server with a site that reads it, and a cold copy of its data directory."""

    server: PostgresServer
    copy: Path
    site: Site
    stack: ExitStack

    def clone(self, *, promoted: bool = False) -> Site:
        """Return a site that reads a server over the copy; ``promoted``: on a new timeline, as after a failover."""
        server = self.stack.enter_context(postgres_server(find_binaries()))
        server.run("cp", "-a", str(self.copy), str(server.data))
        if promoted:
            server.run("touch", str(server.data / "standby.signal"))
        server.start()
        admin = self.stack.enter_context(psycopg.connect(server.dsn("orgs"), autocommit=True))
        if promoted:
            admin.execute("SELECT pg_promote()")
        return replace(self.site, dsn=server.dsn("orgs", READER), admin=admin)


@pytest.fixture
def clones(template_sql: str, tmp_path: Path) -> Iterator[Clones]:
    with ExitStack() as stack:
        server = stack.enter_context(postgres_server(find_binaries()))
        server.initialise()
        server.start()
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            admin.execute("CREATE DATABASE orgs")
        with psycopg.connect(server.dsn("orgs"), autocommit=True) as admin:
            admin.execute(template_sql)
            make_site(admin, server.dsn("orgs", "postgres"), tmp_path, tenants=3)
        server.stop()
        copy = server.directory / "copy"
        server.run("cp", "-a", str(server.data), str(copy))
        server.start()
        admin = stack.enter_context(psycopg.connect(server.dsn("orgs"), autocommit=True))
        site = open_site(admin, server.dsn("orgs", "postgres"), tmp_path)
        write(site)
        yield Clones(server, copy, site, stack)


def write(site: Site) -> None:
    site.run("SET synchronous_commit = on", "CREATE TABLE IF NOT EXISTS public.written (x text)",
             "INSERT INTO public.written SELECT repeat('x', 100) FROM generate_series(1, 1000)")


@pytest.mark.parametrize("promoted", [False, True], ids=["same_timeline", "new_timeline"])
def test_clone_or_restored_backup_is_inconclusive_until_accepted(clones: Clones, promoted: bool) -> None:
    known = clones.site.observe()
    assert known.verdict is Verdict.PASS, known.reason
    assert known.compared["source"]["timeline"] == 1
    clone = clones.clone(promoted=promoted)
    refused = clone.observe()
    assert (refused.verdict, refused.reason_code) == REGRESSED, refused.reason
    assert "restored backup or an old clone" in refused.reason
    assert clone.ledger.deciding(known.day, "latest") == known
    assert set(accept_source(clone.context, "restored after an incident")) == {"source", "target"}
    for _ in range(2):
        assert clone.observe().verdict is Verdict.PASS
    with pytest.raises(UsageError, match="nothing to accept"):
        accept_source(clone.context, "restored after an incident")


def test_pass_of_an_accepted_clone_does_not_displace_a_fail(clones: Clones, tmp_path: Path) -> None:
    clones.site.run(A_LOSS)
    write(clones.site)
    fail = clones.site.observe()
    assert fail.verdict is Verdict.FAIL
    clone = clones.clone()
    clone.observe()
    accept_source(clone.context, "restored after an incident")
    assert [clone.observe().verdict for _ in range(2)] == [Verdict.PASS, Verdict.PASS]
    assert clone.ledger.deciding(fail.day, "latest") == fail
    record = publish(clone.context, fail.day).record
    assert record.verdict is Verdict.FAIL
    rebuilt = open_ledger(f"sqlite:///{tmp_path / 'rebuilt.db'}")
    assert import_trail(rebuilt, clone.context.output_dir).refused == ()
    assert render(record_of(rebuilt, fail.day)) == render(record)


def test_restart_and_promotion_with_all_writes_are_no_regress(clones: Clones) -> None:
    clones.site.observe()
    clones.site.admin.close()
    clones.server.stop()
    clones.server.run("touch", str(clones.server.data / "standby.signal"))
    clones.server.start()
    with psycopg.connect(clones.server.dsn(), autocommit=True) as admin:
        admin.execute("SELECT pg_promote()")
    after = clones.site.observe()
    assert (after.verdict, after.compared["source"]["timeline"]) == (Verdict.PASS, 2), after.reason
    assert clones.site.observe().verdict is Verdict.PASS


def test_server_that_hides_its_wal_position_is_compared(site: Site) -> None:
    """A role without the permission, or a server that is only like PostgreSQL."""
    site.run("REVOKE EXECUTE ON FUNCTION pg_walfile_name(pg_lsn) FROM PUBLIC")
    after = site.observe()
    assert after.verdict is Verdict.PASS, after.reason
    assert not {"lsn", "timeline"} & after.compared["source"].keys()
