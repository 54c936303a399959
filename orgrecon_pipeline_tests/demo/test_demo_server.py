"""The embedded server, and the fixtures that every other test stands on."""

from __future__ import annotations

import psycopg


def names_of_tables(connection):
    return [name for (name,) in connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")]


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


def test_the_server_is_recent_and_unflushed(server):
    with psycopg.connect(server.dsn()) as connection:
        assert connection.info.server_version >= 180000
        assert connection.execute("SHOW fsync").fetchone() == ("off",)
