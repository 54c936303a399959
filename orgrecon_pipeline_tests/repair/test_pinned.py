"""A repair means the same whatever the role, the database and the client are set to."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from orgrecon_pipeline.demo.postgres_wheel import binaries
from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline_tests.support.operations.repair_pair import BOTH, Pair, entity

Pairs = Callable[..., Pair]
TABLES = "CREATE TABLE s (tenant_id text, k int, v text); CREATE TABLE t (tenant_id text, k int, v text);"


def run_by_psql(of: Pair, options: str = "") -> None:
    script = of.place / "repair.sql"
    script.write_text(of.healing().repair.sql, encoding="utf-8")
    subprocess.run([binaries() / "psql", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--file", script, of.dsn],
                   check=True, capture_output=True, env={"PATH": "/usr/bin:/bin", "PGOPTIONS": options})


@pytest.mark.parametrize(("value", "shadow", "option"), [
    ("v::timestamp::timestamptz::text", "", "TimeZone=America/New_York"),
    (r"v || '\n'", "", "standard_conforming_strings=off"),
    ("upper(v)", "CREATE FUNCTION public.upper(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT 'shadow'$$;",
     "search_path=public,pg_catalog"),
    ("v::date::text", "", "DateStyle=German"),
])
def test_the_settings_of_a_role_change_nothing(pair: Pairs, value: str, shadow: str, option: str) -> None:
    day = "2026-01-02"
    of = pair(f"{TABLES}{shadow} INSERT INTO s VALUES ('a', 1, '{day}'), ('a', 2, '{day}');"
              f"INSERT INTO t VALUES ('a', 1, 'x')",
              e=entity(source={"from": "public.s", "columns": {**BOTH, "v": value}}))
    run_by_psql(of, f"-c {option} -c escape_string_warning=off")
    assert of.observe().verdict is Verdict.PASS


def test_strings_that_were_read_before_they_could_be_pinned_are_refused(pair: Pairs) -> None:
    of = pair(f"{TABLES} INSERT INTO s VALUES ('a', 1, 'x'), ('a', 2, 'y'); INSERT INTO t VALUES ('a', 1, 'x')")
    with pytest.raises(psycopg.errors.RaiseException, match="standard_conforming_strings is off"):
        of.apply(of.healing().repair.sql, "-c standard_conforming_strings=off -c escape_string_warning=off")
    assert of.table("SELECT * FROM t") == [("a", 1, "x")]


def test_the_list_of_what_cannot_be_healed_is_read_under_the_same_settings(pair: Pairs) -> None:
    of = pair(f"{TABLES} INSERT INTO s VALUES ('a', 1, '2026-01-02'); INSERT INTO t VALUES ('a', 1, 'x')",
              e=entity(source={"from": "public.s", "columns": {**BOTH, "v": "v::timestamp::timestamptz::text"}},
                       target={"from": "public.t", "columns": {**BOTH, "v": "v || ''"}}))
    with psycopg.connect(of.dsn, autocommit=True, options="-c TimeZone=Asia/Tokyo") as connection:
        cursor = connection.execute(of.healing().repair.sql.encode())
        while cursor.description is None:
            assert cursor.nextset()
        assert ("source", "a", 1, "2026-01-02 00:00:00+00") in cursor.fetchall()
        assert connection.execute("SHOW TimeZone").fetchone() == ("Asia/Tokyo",)


def test_the_file_is_utf8_whatever_the_database_is(server: EmbeddedServer, tmp_path: Path) -> None:
    name = "repair_latin"
    with psycopg.connect(server.dsn(), autocommit=True) as maintenance:
        maintenance.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING LATIN1 LOCALE 'C'")
    try:
        with psycopg.connect(server.dsn(name), autocommit=True, client_encoding="UTF8") as admin:
            admin.execute(f"{TABLES} INSERT INTO s VALUES ('Zoé', 1, NULL), ('Zoé', 2, 'x');"
                          "INSERT INTO t VALUES ('Zoé', 2, 'x')")
            of = Pair(admin, server.dsn(name), tmp_path, {"e": entity(
                source={"from": "public.s", "columns": {**BOTH, "v": "coalesce(v, 'Küche')"}})})
            run_by_psql(of)
            assert of.table("SELECT * FROM t") == [("Zoé", 1, "Küche"), ("Zoé", 2, "x")]
    finally:
        server.drop_database(name)
