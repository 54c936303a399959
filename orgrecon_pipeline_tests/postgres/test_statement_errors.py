"""Meanings of failed statements: each names cause and remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.operations.doctor import diagnose
from orgrecon_pipeline.postgres.errors import failed_statement, is_temporary
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.ledger.cases import full, raised
from orgrecon_pipeline_tests.support.operations.site import READER, Site, open_site
from orgrecon_pipeline_tests.support.postgres.pgbouncer import pgbouncer


@pytest.fixture
def site(seeded_database: str, connect: Callable[[str], psycopg.Connection[Any]], tmp_path: Path) -> Site:
    """A site with twelve small tenants without drift."""
    return open_site(connect(seeded_database), seeded_database, tmp_path)


def test_pooler_in_statement_mode_is_named_and_in_transaction_mode_works(site: Site) -> None:
    message = ("the pooler (pgbouncer) runs in statement mode, which allows no transaction; set pool_mode = "
               "transaction, or connect to the server itself")
    direct = site.dsn
    with pgbouncer(direct, "statement") as site.dsn:
        undecided = site.observe()
        assert undecided.verdict is Verdict.INCONCLUSIVE
        assert message in undecided.reason
        assert any(message in finding.text for finding in diagnose(site.context).findings)
    with pgbouncer(direct, "transaction") as site.dsn:
        assert site.observe().verdict is Verdict.PASS
        site.dsn = f"{site.dsn.rpartition('/')[0]}/pgbouncer"
        assert "the URL names the admin console of pgbouncer" in site.observe().reason


@pytest.mark.parametrize("message", ["failure", "query timeout", "invalid command '"])
def test_function_that_raises_a_message_of_the_pooler_is_not_taken_for_it(
    message: str, empty_database: str, connect: Callable[[str], psycopg.Connection[Any]]
) -> None:
    with pytest.raises(psycopg.Error) as raised_in_function:
        connect(empty_database).execute(f"DO $$BEGIN RAISE EXCEPTION $m${message}$m$; END$$".encode())
    failed = failed_statement(raised_in_function.value)
    assert failed.state == "P0001"
    assert "pgbouncer" not in failed.meaning


def test_ledger_behind_a_pooler_in_statement_mode_is_a_wrong_configuration(empty_database: str) -> None:
    with pgbouncer(empty_database, "statement") as url:
        error = raised(lambda: open_ledger(url))
        assert type(error) is ConfigurationError
        assert "runs in statement mode" in str(error)
    with pgbouncer(empty_database, "transaction") as url:
        ledger = open_ledger(url)
        assert ledger.append(*full()) is True
        with ledger.day_lock(full()[0].day):
            assert ledger.observations(full()[0].day) == [full()[0]]


REVOKED = [
    *(f"EXECUTE ON FUNCTION pg_catalog.{function}" for function in (
        "pg_control_system()", "pg_export_snapshot()", "current_setting(text)", "hashtextextended(text, bigint)",
        "pg_postmaster_start_time", "has_table_privilege")),
    *(f"SELECT ON pg_catalog.{table}" for table in ("pg_locks", "pg_class", "pg_type", "pg_roles")),
    "USAGE ON SCHEMA pg_catalog",
    "USAGE ON SCHEMA public",
    *(f"SELECT ON public.{table}" for table in ("tenants", "teams", "org_units")),
    "SELECT ON public.team_members, public.org_unit_memberships",
]


def test_revoked_privilege_is_named_by_doctor_with_the_grant_that_helps(site: Site) -> None:
    """The server was hardened, or a privilege was forgotten."""
    for privilege in REVOKED:
        revoked = "FUNCTION pg_catalog.has_table_privilege(oid, text)"
        site.run(*(f"REVOKE {privilege.replace('FUNCTION pg_catalog.has_table_privilege', revoked)} FROM {role}"
                   for role in ("PUBLIC", READER)))
        [problem] = [finding.text for finding in diagnose(site.context).findings if finding.level == "problem"]
        grant = problem.partition(": run ")[2].replace("the role", READER)
        assert grant == f"GRANT {privilege} TO {READER}", problem
        site.run(grant.replace("FUNCTION pg_catalog.has_table_privilege", revoked))
    assert diagnose(site.context).ready
    assert site.observe().verdict is Verdict.PASS


def test_report_names_the_grant_without_the_role(site: Site) -> None:
    site.run(f"REVOKE SELECT ON public.teams FROM {READER}")
    undecided = site.observe()
    assert undecided.reason_code is ReasonCode.PERMISSION_DENIED
    assert undecided.reason == (
        "org_units.source: the role lacks a permission: run GRANT SELECT ON public.teams TO the role.")


VIEW = ("ALTER TABLE public.teams RENAME TO base", f"REVOKE SELECT ON public.base FROM {READER}",
        "CREATE VIEW public.teams AS SELECT * FROM public.base", f"GRANT SELECT ON public.teams TO {READER}")


@pytest.mark.parametrize(("statements", "grant"), [
    ((*VIEW, "CREATE ROLE owner", "ALTER VIEW public.teams OWNER TO owner"),
     "SELECT ON public.base TO the owner of public.teams"),
    ((*VIEW, "CREATE FUNCTION public.f(text, int) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1'",
      "REVOKE EXECUTE ON FUNCTION public.f FROM PUBLIC",
      "CREATE OR REPLACE VIEW public.teams AS SELECT tenant_id, id, public.f(name, 1) AS name, parent_team_id, "
      "deleted_at FROM public.base"), "EXECUTE ON FUNCTION public.f(text, integer) TO the role"),
    ((*VIEW, f"REVOKE SELECT ON public.org_units FROM {READER}"), "SELECT ON public.org_units TO the role"),
])
def test_privilege_that_a_view_lacks_is_named(site: Site, statements: tuple[str, ...], grant: str) -> None:
    site.run("DROP ROLE IF EXISTS owner")
    site.run(*statements)
    try:
        assert site.observe().reason.endswith(f": run GRANT {grant}.")
    finally:
        site.run("DROP VIEW public.teams", "DROP ROLE IF EXISTS owner")


def test_file_that_the_server_may_not_read_is_no_missing_permission(site: Site) -> None:
    [(data,)] = site.admin.execute("SHOW data_directory").fetchall()
    control = Path(data, "global/pg_control")
    control.chmod(0)
    try:
        undecided = site.observe()
    finally:
        control.chmod(0o600)
    assert undecided.reason == "reading the server's identity: the server cannot read or write a file; see its log."
    assert undecided.reason_code is ReasonCode.CANNOT_READ


def test_function_that_fails_is_named_by_doctor_too(site: Site) -> None:
    site.run(*VIEW, "CREATE TABLE public.gone (x int)",
             "CREATE FUNCTION public.f(t text) RETURNS text STABLE LANGUAGE plpgsql AS "
             "$$ BEGIN PERFORM x FROM public.gone; RETURN t; END $$", "DROP TABLE public.gone",
             "CREATE OR REPLACE VIEW public.teams AS SELECT tenant_id, id, public.f(name) AS name, parent_team_id, "
             "deleted_at FROM public.base")
    reason = "org_units: within the function public.f: a table does not exist"
    assert site.observe().reason.startswith(reason)
    assert any(finding.text.startswith(reason) for finding in diagnose(site.context).findings)


@pytest.mark.parametrize(("table", "advised"), [
    ("gone", True), ('"Gone"', True), ("public.gone", False), ('public."Gone table"', False), ("gone.teams", False),
])
def test_missing_table_is_advised_to_name_its_schema_only_if_it_does_not(
    table: str, advised: bool, empty_database: str, connect: Callable[[str], psycopg.Connection[Any]]
) -> None:
    with pytest.raises(psycopg.Error) as refused:
        connect(empty_database).execute(f"SELECT FROM {table}".encode())
    advice = "; the search_path is empty, so write schema.table"
    assert failed_statement(refused.value).meaning == "a table does not exist" + advice * advised


@pytest.mark.parametrize("message", [
    "Relation »{}« existiert nicht", "la relation « {} » n'existe pas", 'отношение "{}" не существует',
    '关系 "{}" 不存在',
])
def test_missing_table_with_a_schema_is_recognised_in_other_languages(message: str) -> None:
    for table, advised in (("gone", True), ("public.gone", False)):
        failed = failed_statement(psycopg.errors.UndefinedTable(message.format(table) + "\nLINE 1: SELECT a.b"))
        assert ("search_path" in failed.meaning) is advised


@pytest.mark.parametrize(("state", "temporary"), [
    ("08006", True), ("25006", True), ("40001", True), ("40P01", True), ("53100", True), ("53300", True),
    ("55P03", True), ("57014", True), ("57P01", True), ("57P03", True), ("58030", True), ("28P01", True),
    ("22P02", False), ("23505", False), ("28000", False), ("3D000", False), ("42501", False), ("42P01", False),
    ("XX000", False),
])
def test_sqlstate_says_whether_a_failure_is_temporary(state: str, temporary: bool) -> None:
    assert is_temporary(state) is temporary


@pytest.mark.parametrize(("message", "meaning"), [
    ("query timeout", "the statement exceeded query_timeout of pgbouncer"),
    ("idle transaction timeout", "the transaction exceeded idle_transaction_timeout of pgbouncer"),
    ("client_idle_timeout", "the session exceeded client_idle_timeout of pgbouncer"),
    ("query_wait_timeout", "pgbouncer had no free connection to the server"),
])
def test_limit_of_the_pooler_is_named_and_temporary(message: str, meaning: str) -> None:
    failed = failed_statement(psycopg.errors.ProtocolViolation(f"{message}\nserver closed the connection"))
    assert failed.meaning.startswith(meaning)
    assert failed.temporary


def test_session_that_ended_between_two_statements_has_the_server_s_last_words() -> None:
    for words, state in (("terminating connection due to administrator command", "57P01"),
                         ("terminating connection because of crash of another server process", "57P02"),
                         ("terminating connection due to idle-session timeout", "57P05")):
        assert failed_statement(psycopg.OperationalError(f"consuming input failed: {words}")).state == state
    lost = failed_statement(psycopg.OperationalError("the connection is closed"))
    assert (lost.state, lost.meaning, lost.temporary) == ("", "the connection was lost", True)
