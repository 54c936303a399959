"""A verdict is reproduced from a base backup and archived WAL, and from a dump in another version of PostgreSQL."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.demo.postgres_binaries import find_binaries, installed_binaries, major_version
from orgrecon_pipeline.domain.evidence import Observation, Verdict
from orgrecon_pipeline.domain.mapping.model import EvidenceSettings
from orgrecon_pipeline.operations.reproduction.reproduce import ReproductionResult, reproduce
from orgrecon_pipeline_tests.support.operations.base_backup import (
    archive_wal,
    archived_site,
    promote,
    recovered_site,
    take_base_backup,
)
from orgrecon_pipeline_tests.support.operations.postgres_server import PostgresServer, postgres_server
from orgrecon_pipeline_tests.support.operations.site import Site, open_site

SAME, DIFFERENT, NOT_DECIDED = ReproductionResult
TABLES = ("teams", "team_members", "org_units", "org_unit_memberships")


@dataclass
class Backup:
    """A company that was observed, written to afterwards, and its base backup with archived WAL."""

    site: Site
    server: PostgresServer
    observation: Observation
    written: set[str]
    stack: ExitStack

    def restored(self, **targets: str) -> tuple[PostgresServer, Site]:
        """Return a server whose recovery pauses at a target, and a site that reads it."""
        return recovered_site(self.stack, self.server, self.site, **targets)


@pytest.fixture
def backup(template_sql: str, tmp_path: Path) -> Iterator[Backup]:
    with ExitStack() as stack:
        server, site = archived_site(stack, template_sql, tmp_path)
        take_base_backup(server)
        site.run("UPDATE public.teams SET name = name || ' 2'", "UPDATE public.org_units u SET name = t.name "
                 "FROM public.teams t WHERE t.id = u.legacy_id AND t.tenant_id = u.tenant_id")
        open_transaction = stack.enter_context(closing(psycopg.connect(server.dsn("orgs"))))
        [(open_tenant,)] = open_transaction.execute(
            "UPDATE public.teams SET name = 'open' WHERE ctid = (SELECT min(ctid) FROM public.teams) "
            "RETURNING tenant_id")
        observation = site.observe()
        assert observation.verdict is Verdict.PASS, observation.reason
        open_transaction.commit()
        written = {tenant for (tenant,) in site.admin.execute(
            "DELETE FROM public.org_unit_memberships WHERE ctid = (SELECT min(ctid) FROM public.org_unit_memberships) "
            "RETURNING tenant_id")}
        written |= {tenant for (tenant,) in site.admin.execute(
            "UPDATE public.teams SET name = 'later' WHERE ctid = (SELECT max(ctid) FROM public.teams) "
            "RETURNING tenant_id")}
        site.run("CREATE TABLE public.later ()")
        archive_wal(server, site.admin)
        yield Backup(site, server, observation, written | {open_tenant}, stack)


@pytest.mark.slow
def test_backup_restored_to_the_snapshot_has_the_same_rows(backup: Backup) -> None:
    """In recovery and promoted; then with one changed row; and the databases that were written to differ."""
    day, identifier = backup.observation.day, backup.observation.compared["source"]["system_identifier"]
    live = reproduce(backup.site.context, day)
    assert (live.result, {difference.tenant for difference in live.differences}) == (DIFFERENT, backup.written)

    hint = re.search(r"the database shows \d+ transactions that the snapshot of the observation did not: restore with "
                     r"recovery_target_xid = '(\d+)' and recovery_target_inclusive = 'off'", live.reason)
    assert hint, live.reason
    _, before_xid = backup.restored(recovery_target_xid=hint[1], recovery_target_inclusive="off")
    assert reproduce(before_xid.context, day).result is SAME

    server, restored = backup.restored(recovery_target_lsn=backup.observation.compared["source"]["lsn"])
    again = reproduce(restored.context, day)
    assert (again.result, again.tenants) == (SAME, len(tenants_of(backup.site))), again.reason
    source = again.databases["source"]
    assert (source["in_recovery"], source["system_identifier"]) == (True, identifier)

    with psycopg.connect(server.dsn("orgs"), autocommit=True) as admin:
        promote(admin)
        again = reproduce(restored.context, day)
        assert (again.result, again.databases["source"]["in_recovery"]) == (SAME, False), again.reason
        [(changed,)] = admin.execute(
            "UPDATE public.team_members SET role = role || '!' WHERE ctid = (SELECT min(ctid) FROM "
            "public.team_members) RETURNING tenant_id")
        other = reproduce(restored.context, day)
        assert "1 transaction that the snapshot of the observation did not" in other.reason
        assert (other.result, [tuple(difference)[:3] for difference in other.differences]) == (
            DIFFERENT, [(changed, "org_unit_memberships", "source")])
        assert other.differences[0].rows_then == other.differences[0].rows_now
        admin.execute("ALTER TABLE public.teams ENABLE ROW LEVEL SECURITY")
        assert reproduce(restored.context, day).result is NOT_DECIDED


def tenants_of(site: Site) -> set[str]:
    return {tenant for table in TABLES for (tenant,) in site.admin.execute(f"SELECT tenant_id FROM public.{table}")}


@pytest.fixture(scope="module")
def other_server(template_sql: str) -> Iterator[PostgresServer]:
    """A server of another version than that of the tests, with a database that has the tables."""
    version = major_version(find_binaries())
    others = [binaries for binaries in installed_binaries() if major_version(binaries) != version]
    if not others:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            f"no PostgreSQL other than version {version} is installed: install Debian's package postgresql")
    with ExitStack() as stack:
        server = stack.enter_context(postgres_server(others[0]))
        server.initialise()
        server.start()
        for encoding in ("UTF8", "LATIN1"):
            with psycopg.connect(server.dsn(), autocommit=True) as admin:
                admin.execute(f"CREATE DATABASE {encoding} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
            with psycopg.connect(server.dsn(encoding.lower()), autocommit=True, client_encoding="UTF8") as admin:
                admin.execute(template_sql)
        yield server


def copy_rows(source: psycopg.Connection[Any], target: psycopg.Connection[Any]) -> None:
    """Copy the rows of all tables, as a dump does, in another physical order."""
    target.execute("SET client_encoding = 'UTF8'")
    for table in ("tenants", *TABLES):
        target.execute(f"TRUNCATE public.{table} CASCADE")
    target.execute("SET session_replication_role = replica")
    for table in ("tenants", *TABLES):
        with (source.cursor() as reading, target.cursor() as writing,
              reading.copy(f"COPY (SELECT * FROM public.{table} ORDER BY random()) TO STDOUT") as rows,
              writing.copy(f"COPY public.{table} FROM STDIN") as written):
            for row in rows:
                written.write(row)


@pytest.fixture
def site_on_other_server(
    site: Site, other_server: PostgresServer, tmp_path: Path
) -> Iterator[Callable[[str], tuple[Site, psycopg.Connection[Any]]]]:
    """Return a function that copies the rows into a database of the other server, and returns a site that reads it."""
    with ExitStack() as stack:
        def copy(database: str) -> tuple[Site, psycopg.Connection[Any]]:
            admin = stack.enter_context(closing(psycopg.connect(other_server.dsn(database), autocommit=True)))
            copy_rows(site.admin, admin)
            other = open_site(admin, other_server.dsn(database, "postgres"), tmp_path)
            return replace(site, dsn=other.dsn), admin

        yield copy


def test_other_version_has_the_same_rows(
    site: Site, site_on_other_server: Callable[[str], tuple[Site, psycopg.Connection[Any]]]
) -> None:
    site.observe()
    other, admin = site_on_other_server("utf8")
    result = reproduce(other.context)
    assert (result.result, result.method) == (SAME, "native"), result.reason
    assert result.databases["source"]["server_version"] != site.ledger.observations(
        site.context.clock.today())[0].compared["source"]["server_version"]
    admin.execute("UPDATE public.teams SET name = name || '!' WHERE ctid = (SELECT min(ctid) FROM public.teams "
                  "WHERE deleted_at IS NULL)")
    assert reproduce(other.context).result is DIFFERENT


def test_other_version_and_encoding_needs_the_portable_digest(
    site: Site, site_on_other_server: Callable[[str], tuple[Site, psycopg.Connection[Any]]]
) -> None:
    site.run("UPDATE public.teams SET name = 'Ä' || name", "UPDATE public.org_units SET name = 'Ä' || name",
             "DELETE FROM public.org_units WHERE ctid = (SELECT max(ctid) FROM public.org_units)")
    assert site.observe().verdict is Verdict.FAIL
    other, admin = site_on_other_server("latin1")
    assert reproduce(other.context).result is NOT_DECIDED
    site.mapping = site.mapping.model_copy(update={"evidence": EvidenceSettings(portable=True)})
    observation = site.observe()
    assert observation.compared["fingerprints"]["methods"] == ["native", "portable"]
    assert reproduce(site.context).method == "native"
    result = reproduce(other.context)
    assert (result.result, result.method) == (SAME, "portable"), result.reason
    # The rows are in random order, and a membership of the unit that was deleted above is not compared.
    admin.execute("DELETE FROM public.org_unit_memberships WHERE ctid = (SELECT min(m.ctid) FROM "
                  "public.org_unit_memberships m JOIN public.org_units u ON u.id = m.org_unit_id)")
    result = reproduce(other.context)
    assert (result.result, [difference.side for difference in result.differences]) == (DIFFERENT, ["target"])
