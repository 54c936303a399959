"""Tests of deploy/sql/readonly_role.sql: who can run it, and that its role reads the mapped tables and nothing else."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import errors

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.operations.doctor import diagnose
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.deploy.tools import ROOT
from orgrecon_pipeline_tests.support.ledger.cases import full, new_sqlite_ledger
from orgrecon_pipeline_tests.support.operations.postgres_server import find_program
from orgrecon_pipeline_tests.support.operations.site import READER, Site

Connection = psycopg.Connection[tuple[Any, ...]]

SCRIPT = ROOT / "deploy/sql/readonly_role.sql"
SQL = SCRIPT.read_text()
TABLES = ("tenants", "teams", "team_members", "org_units", "org_unit_memberships")


@pytest.fixture
def reader(company_database: str, connect: Callable[[str], Connection]) -> Iterator[Connection]:
    """Yield a connection with the role, after the script ran twice."""
    owner = connect(company_database)
    owner.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")  # the default since PostgreSQL 15
    owner.execute("CREATE TABLE public.secrets (id int); CREATE SCHEMA other; CREATE TABLE other.t (id int)")
    owner.execute(SQL)
    owner.execute(SQL)
    as_reader = connect(company_database)
    # The embedded server accepts local superusers only, so the superuser switches to the role.
    as_reader.execute("SET SESSION AUTHORIZATION orgrecon_reader")
    yield as_reader
    as_reader.execute("RESET SESSION AUTHORIZATION")
    owner.execute("DROP OWNED BY orgrecon_reader")


def test_script_grants_exactly_the_tables_of_the_packaged_mapping() -> None:
    mapping = default_mapping()
    relations = [r.from_ for e in mapping.entities.values() for side in (e.source, e.target) for r in side]
    assert mapping.tenants is not None
    mapped = {name for text in (*relations, mapping.tenants.from_) for name in re.findall(r"public\.(\w+)", text)}
    granted = set(re.findall(r"'public\.(\w+)'", SQL))
    assert granted == mapped == set(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_role_can_read_and_lock_mapped_table(reader: Connection, table: str) -> None:
    with reader.transaction():
        reader.execute(f"LOCK TABLE public.{table} IN ACCESS SHARE MODE")
        reader.execute(f"SELECT count(*) FROM public.{table}")


@pytest.mark.parametrize("statement", [
    *(f"INSERT INTO public.{table} DEFAULT VALUES" for table in TABLES),
    *(f"DELETE FROM public.{table}" for table in TABLES),
    "UPDATE public.teams SET name = 'x'",
    "TRUNCATE public.teams",
    "DO $$ BEGIN LOCK TABLE public.teams IN EXCLUSIVE MODE; END $$",
    "SELECT * FROM public.secrets",
    "SELECT * FROM other.t",
    "CREATE TABLE public.mine (id int)",
    "CREATE SCHEMA mine",
    "CREATE ROLE mine",
    "ALTER TABLE public.teams DISABLE TRIGGER ALL",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT passwd FROM pg_shadow",
    "COPY public.teams TO PROGRAM 'cat'",
])
def test_role_is_denied_any_other_statement(reader: Connection, statement: str) -> None:
    # Read-only mode is a second line of defence. Without it, the missing privilege must still deny the statement.
    reader.execute("SET default_transaction_read_only = off")
    with pytest.raises(errors.InsufficientPrivilege):
        reader.execute(statement)


def test_role_has_read_only_and_timeout_defaults(reader: Connection) -> None:
    [(settings,)] = reader.execute(
        "SELECT setconfig FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole "
        "WHERE rolname = 'orgrecon_reader'"
    ).fetchall()
    assert {line.split("=")[0] for line in settings} == {
        "default_transaction_read_only", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout",
    }
    [role] = reader.execute(
        "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolinherit, rolcanlogin "
        "FROM pg_roles WHERE rolname = 'orgrecon_reader'"
    ).fetchall()
    assert role == (False, False, False, False, False, False, True)


# As the administrator of a managed server.

ADMIN, OWNER = "cloud_admin", "application"
CONTROL = "FUNCTION pg_catalog.pg_control_system()"


@dataclass
class Managed:
    """A company database on a server whose administrator is no superuser.

    Attributes:
        superuser: a connection as the provider of the server.
        dsn: the database as the administrator.
        site: the database as the read-only role.
    """

    superuser: Connection
    dsn: str
    site: Site

    def run_script(self, dsn: str = "", returncode: int = 0) -> str:
        """Run the script as the documentation says, by default as the administrator; return its messages."""
        done = subprocess.run(
            [find_program("psql"), dsn or self.dsn, "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-f", str(SCRIPT)],
            capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"})
        assert done.returncode == returncode, done.stderr
        return done.stderr

    def run(self, *statements: str) -> None:
        """Run statements as the superuser."""
        self.site.run(*statements)

    def own_tables(self, owner: str) -> None:
        self.run(*(f"ALTER TABLE public.{table} OWNER TO {owner}" for table in TABLES))


@pytest.fixture
def managed(seeded_database: str, connect: Callable[[str], Connection], tmp_path: Path) -> Iterator[Managed]:
    superuser = connect(seeded_database)
    reader, admin = (seeded_database.replace("postgres@", f"{role}@") for role in (READER, ADMIN))
    site = Site(superuser, reader, new_sqlite_ledger(tmp_path / "ledger.db"), tmp_path)
    roles = f"{READER}, {ADMIN}, {OWNER}"
    for (database,) in superuser.execute(
        "SELECT DISTINCT datname FROM pg_shdepend JOIN pg_database ON pg_database.oid = dbid "
        "WHERE refclassid = 'pg_authid'::regclass AND refobjid = to_regrole(%s)", (READER,)
    ).fetchall():  # of other tests
        connect(seeded_database.replace(f"/{superuser.info.dbname}", f"/{database}")).execute(f"DROP OWNED BY {READER}")
    site.run(f"DROP ROLE IF EXISTS {READER}", f"CREATE ROLE {ADMIN} LOGIN CREATEROLE CREATEDB", f"CREATE ROLE {OWNER}",
             f"ALTER DATABASE {superuser.info.dbname} OWNER TO {ADMIN}")
    yield Managed(superuser, admin, site)
    site.run(f"GRANT EXECUTE ON {CONTROL} TO PUBLIC", f"REASSIGN OWNED BY {roles} TO postgres",
             f"DROP OWNED BY {roles}", f"DROP ROLE {roles}")


def test_administrator_who_owns_the_tables_creates_a_role_that_observes_a_day(managed: Managed) -> None:
    managed.own_tables(ADMIN)
    for _ in range(2):
        assert managed.run_script() == ""
    assert diagnose(managed.site.context).ready
    after = managed.site.observe()
    assert (after.verdict, after.tenants_scanned) == (Verdict.PASS, 12), after.reason


def test_administrator_who_is_member_of_the_owner_creates_a_role_that_observes_a_day(managed: Managed) -> None:
    managed.own_tables(OWNER)
    managed.run(f"GRANT {OWNER} TO {ADMIN}")
    for _ in range(2):
        assert managed.run_script() == ""
    assert managed.site.observe().verdict is Verdict.PASS


def test_statements_that_only_the_owner_may_run_are_named(managed: Managed) -> None:
    managed.own_tables(OWNER)
    managed.run(f"ALTER SCHEMA public OWNER TO {OWNER}", "REVOKE USAGE ON SCHEMA public FROM PUBLIC",
                f"GRANT USAGE ON SCHEMA public TO {ADMIN}")
    messages = managed.run_script(returncode=3)
    assert f"{ADMIN} may not grant what orgrecon_reader needs" in messages
    statements = [line for line in messages.splitlines() if line.startswith("GRANT ")]
    assert len(statements) == len(TABLES) + 1, messages
    for line in statements:
        statement, owner = line.split(";  -- as ")
        managed.run(f"SET ROLE {owner}", statement, "RESET ROLE")
    assert managed.run_script() == ""
    assert managed.site.observe().verdict is Verdict.PASS


def test_revoked_identification_of_the_server_names_the_grant(managed: Managed) -> None:
    managed.own_tables(ADMIN)
    managed.run(f"REVOKE EXECUTE ON {CONTROL} FROM PUBLIC")
    messages = managed.run_script()
    assert "every report will be INCONCLUSIVE" in messages
    assert managed.site.observe().verdict is Verdict.INCONCLUSIVE
    managed.run(messages.split("run: ")[1].splitlines()[0])
    assert managed.run_script() == ""
    assert managed.site.observe().verdict is Verdict.PASS


def test_superuser_grants_the_identification_of_the_server(managed: Managed) -> None:
    managed.run(f"REVOKE EXECUTE ON {CONTROL} FROM PUBLIC")
    assert managed.run_script(managed.dsn.replace(f"{ADMIN}@", "postgres@")) == ""
    assert managed.site.observe().verdict is Verdict.PASS


def test_row_level_security_is_noticed_until_the_role_bypasses_it(managed: Managed) -> None:
    managed.own_tables(ADMIN)
    managed.run("ALTER TABLE public.teams ENABLE ROW LEVEL SECURITY")
    messages = managed.run_script()
    assert "row-level security hides rows of teams from orgrecon_reader" in messages.replace("public.", "")
    assert managed.site.observe().verdict is Verdict.INCONCLUSIVE
    managed.run(f"ALTER ROLE {READER} BYPASSRLS")
    assert managed.run_script() == ""
    assert managed.site.observe().verdict is Verdict.PASS


def test_owner_of_the_tables_reads_all_rows_despite_row_level_security(managed: Managed) -> None:
    """Before PostgreSQL 16, a managed server may have nobody who can let the role bypass it."""
    managed.own_tables(ADMIN)
    managed.run("ALTER TABLE public.teams ENABLE ROW LEVEL SECURITY")
    managed.run_script()
    managed.site.dsn = managed.dsn
    assert managed.site.observe().verdict is Verdict.PASS


@pytest.mark.parametrize("attribute", ["SUPERUSER", "CREATEDB", "CREATEROLE", "REPLICATION"])
def test_existing_role_that_may_do_more_than_read_is_refused(managed: Managed, attribute: str) -> None:
    managed.run(f"CREATE ROLE {READER} {attribute}")
    messages = managed.run_script(returncode=3)
    assert "orgrecon_reader has more privileges than reading" in messages
    managed.run(messages.split("run: ")[1].splitlines()[0])
    assert managed.run_script(managed.dsn.replace(f"{ADMIN}@", "postgres@")) == ""


def test_administrator_without_superuser_creates_the_ledger_as_documented(managed: Managed) -> None:
    page = (ROOT / "docs/runbooks/install.md").read_text(encoding="utf-8")
    [statements] = re.findall(r"```sql\n(CREATE ROLE orgrecon_ledger.*?)```", page, re.DOTALL)
    managed.own_tables(ADMIN)
    managed.run_script()
    with psycopg.connect(managed.dsn, autocommit=True) as admin:
        for statement in statements.splitlines():
            admin.execute(statement)
    try:
        url = urlsplit(managed.dsn)._replace(netloc="orgrecon_ledger@", path="/orgrecon_ledger").geturl()
        assert open_ledger(url).append(*full()) is True
    finally:
        managed.run("DROP DATABASE orgrecon_ledger WITH (FORCE)", "DROP ROLE orgrecon_ledger")
