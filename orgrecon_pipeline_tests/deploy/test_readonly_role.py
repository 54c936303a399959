"""Tests of deploy/sql/readonly_role.sql: the role can read the mapped tables and do nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline_tests.support.deploy.tools import ROOT

Connection = psycopg.Connection[tuple[Any, ...]]

SQL = (ROOT / "deploy/sql/readonly_role.sql").read_text()
TABLES = ("tenants", "teams", "team_members", "org_units", "org_unit_memberships")


@pytest.fixture
def reader(company_database: str, connect: Callable[[str], Connection]) -> Iterator[Connection]:
    """Yield a connection with the role, after the script ran twice."""
    owner = connect(company_database)
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
    granted = set(re.findall(r"public\.(\w+)", SQL.split("GRANT SELECT ON TABLE")[1]))
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
