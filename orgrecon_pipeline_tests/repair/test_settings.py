"""The repair script does not depend on settings of the role, the database or the client."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psycopg
import pytest

from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline_tests.support.operations.postgres_server import find_program
from orgrecon_pipeline_tests.support.repair.scenario import COLUMNS, MakeTables, RepairScenario, entity, table_scenario

TABLES = "CREATE TABLE s (tenant_id text, k int, v text); CREATE TABLE t (tenant_id text, k int, v text);"


def run_with_psql(tables: RepairScenario, options: str = "") -> None:
    script = tables.directory / "repair.sql"
    script.write_text(tables.repair_sql(), encoding="utf-8")
    subprocess.run([find_program("psql"), "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--file", script, tables.dsn],
                   check=True, capture_output=True, env={"PATH": "/usr/bin:/bin", "PGOPTIONS": options})


@pytest.mark.parametrize(("value", "shadow", "option"), [
    ("v::timestamp::timestamptz::text", "", "TimeZone=America/New_York"),
    (r"v || '\n'", "", "standard_conforming_strings=off"),
    ("upper(v)", "CREATE FUNCTION public.upper(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT 'shadow'$$;",
     "search_path=public,pg_catalog"),
    ("v::date::text", "", "DateStyle=German"),
])
def test_session_settings_do_not_change_the_repair(
    make_tables: MakeTables, value: str, shadow: str, option: str
) -> None:
    day = "2026-01-02"
    tables = make_tables(f"{TABLES}{shadow} INSERT INTO s VALUES ('a', 1, '{day}'), ('a', 2, '{day}');"
              f"INSERT INTO t VALUES ('a', 1, 'x')",
              e=entity(source={"from": "public.s", "columns": {**COLUMNS, "v": value}}))
    run_with_psql(tables, f"-c {option} -c escape_string_warning=off")
    assert tables.observe().verdict is Verdict.PASS


def test_script_sent_as_one_message_is_refused_without_standard_conforming_strings(make_tables: MakeTables) -> None:
    tables = make_tables(f"{TABLES} INSERT INTO s VALUES ('a', 1, 'x'), ('a', 2, 'y');"
                         "INSERT INTO t VALUES ('a', 1, 'x')")
    with pytest.raises(psycopg.errors.RaiseException, match="standard_conforming_strings is off"):
        tables.apply(tables.repair_sql(), "-c standard_conforming_strings=off -c escape_string_warning=off")
    assert tables.query("SELECT * FROM t") == [("a", 1, "x")]


def test_list_of_unsupported_drift_uses_the_settings_of_the_comparison(make_tables: MakeTables) -> None:
    tables = make_tables(f"{TABLES} INSERT INTO s VALUES ('a', 1, '2026-01-02'); INSERT INTO t VALUES ('a', 1, 'x')",
              e=entity(source={"from": "public.s", "columns": {**COLUMNS, "v": "v::timestamp::timestamptz::text"}},
                       target={"from": "public.t", "columns": {**COLUMNS, "v": "v || ''"}}))
    with psycopg.connect(tables.dsn, autocommit=True, options="-c TimeZone=Asia/Tokyo") as connection:
        cursor = connection.execute(tables.repair_sql().encode())
        while cursor.description is None:
            assert cursor.nextset()
        assert ("source", "a", 1, "2026-01-02 00:00:00+00") in cursor.fetchall()
        assert connection.execute("SHOW TimeZone").fetchone() == ("Asia/Tokyo",)


def test_script_is_utf8_in_a_database_with_another_encoding(server: EmbeddedServer, tmp_path: Path) -> None:
    name = "repair_latin"
    with psycopg.connect(server.dsn(), autocommit=True) as maintenance:
        maintenance.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING LATIN1 LOCALE 'C'")
    try:
        with psycopg.connect(server.dsn(name), autocommit=True, client_encoding="UTF8") as admin:
            admin.execute(f"{TABLES} INSERT INTO s VALUES ('Zoé', 1, NULL), ('Zoé', 2, 'x');"
                          "INSERT INTO t VALUES ('Zoé', 2, 'x')")
            tables = table_scenario(admin, server.dsn(name), tmp_path, {"e": entity(
                source={"from": "public.s", "columns": {**COLUMNS, "v": "coalesce(v, 'Küche')"}})})
            run_with_psql(tables)
            assert tables.query("SELECT * FROM t") == [("Zoé", 1, "Küche"), ("Zoé", 2, "x")]
    finally:
        server.drop_database(name)
