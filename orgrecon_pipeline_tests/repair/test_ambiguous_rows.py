"""Rows that are left unchanged because the right value, or the row to remove, is ambiguous or cannot be written."""

from __future__ import annotations

import psycopg
import pytest

from orgrecon_pipeline_tests.support.repair.scenario import MakeTables, entity

PEOPLE = {"from": "public.t t LEFT JOIN public.people p ON p.id = t.person AND p.tenant_id = t.tenant_id",
          "columns": {"tenant_id": "t.tenant_id", "k": "t.k", "v": "p.name"}}
TABLES = """
    CREATE TABLE s (tenant_id text, k int, v text);
    CREATE TABLE people (id int, tenant_id text, name text, left_at timestamptz);
    CREATE TABLE t (tenant_id text, k int, person int);
"""


def test_lookup_of_an_ambiguous_value_is_unresolved(make_tables: MakeTables) -> None:
    tables = make_tables(f"""
              {TABLES} INSERT INTO people VALUES (1, 'a', 'Kim'), (2, 'a', 'Kim'), (3, 'a', 'Lee'), (4, 'b', 'Kim');
              INSERT INTO s VALUES ('a', 1, 'Kim'), ('a', 2, 'Lee'), ('a', 3, 'Kim'), ('a', 4, 'Lee'), ('b', 1, 'Kim');
              INSERT INTO t VALUES ('a', 1, 3), ('a', 2, 3)""", e=entity(target=PEOPLE))
    assert tables.repair() == [
        "orgrecon: e, missing rows added: 2, 1 not added (the row to refer to is missing or ambiguous)",
        "orgrecon: e, values corrected: 0, 1 not corrected (the row to refer to is missing or ambiguous)"]
    assert tables.query("SELECT * FROM t") == [("a", 1, 3), ("a", 2, 3), ("a", 4, 3), ("b", 1, 4)]


def test_lookup_prefers_the_only_live_row(make_tables: MakeTables) -> None:
    living = {"from": "public.people", "where": "left_at IS NULL",
              "columns": {"tenant_id": "tenant_id", "k": "id", "v": "name"}}
    tables = make_tables(f"""{TABLES} CREATE TABLE people_before (tenant_id text, k int, v text);
              INSERT INTO people_before VALUES ('a', 2, 'Kim');
              INSERT INTO people VALUES (1, 'a', 'Kim', now()), (2, 'a', 'Kim', NULL), (3, 'a', 'Kim', now());
              INSERT INTO people VALUES (5, 'a', 'Lee', now()), (6, 'a', 'Lee', now());
              INSERT INTO s VALUES ('a', 1, 'Kim'), ('a', 2, 'Lee')""",
              e=entity(target=PEOPLE), people=entity("public.people_before", living))
    assert tables.repair() == [
        "orgrecon: e, missing rows added: 1, 1 not added (the row to refer to is missing or ambiguous)"]
    assert tables.query("SELECT * FROM t") == [("a", 1, 2)]


def test_row_that_joins_return_more_than_once_is_left_unchanged(make_tables: MakeTables) -> None:
    codes = {"from": "public.t t JOIN public.p p ON p.id = t.pid AND p.tenant_id = t.tenant_id",
             "columns": {"tenant_id": "t.tenant_id", "k": "p.code", "v": "t.v"}}
    tables = make_tables("""
              CREATE TABLE s (tenant_id text, k int, v text); CREATE TABLE t (tenant_id text, pid int, v text);
              CREATE TABLE p (tenant_id text, id int, code int);
              INSERT INTO p VALUES ('a', 1, 100), ('a', 1, 100), ('a', 2, 200), ('a', 2, 201);
              INSERT INTO p VALUES ('a', 3, 300), ('a', 3, 301), ('a', 4, 400);
              INSERT INTO s VALUES ('a', 100, 'x'), ('a', 200, 'x'), ('a', 300, 'x'), ('a', 301, 'y');
              INSERT INTO t VALUES ('a', 1, 'x'), ('a', 2, 'x'), ('a', 3, 'x'), ('a', 4, 'x')""",
              e=entity(target=codes))
    notice = "orgrecon: e, unexpected keys removed: 1, 1 not removed (joins return the row more than once)"
    assert notice in tables.repair()
    assert tables.query("SELECT * FROM t") == [("a", 1, "x"), ("a", 2, "x"), ("a", 3, "x")]


def test_copies_of_a_key_that_the_source_repeats_are_left_unchanged(make_tables: MakeTables) -> None:
    tables = make_tables("""
              CREATE TABLE s (tenant_id text, k int, v text); CREATE TABLE t (tenant_id text, k int, v text);
              INSERT INTO s VALUES ('a', 1, 'x'), ('a', 1, 'y'), ('a', 2, 'x');
              INSERT INTO t VALUES ('a', 1, 'x'), ('a', 1, 'x'), ('a', 1, 'y'), ('a', 2, 'z'), ('a', 2, 'x')""")
    assert tables.repair() == ["orgrecon: e, surplus copies removed: 1"]
    assert tables.query("SELECT * FROM t") == [("a", 1, "x"), ("a", 1, "x"), ("a", 1, "y"), ("a", 2, "x")]


@pytest.mark.parametrize("kind", ["text", "boolean", "int", "interval"])
def test_deletion_column_that_is_no_timestamp_aborts_the_batch(make_tables: MakeTables, kind: str) -> None:
    tables = make_tables(f"""CREATE TABLE s (tenant_id text, k int, v text);
              CREATE TABLE t (tenant_id text, k int, v text, department {kind});
              INSERT INTO s VALUES ('a', 1, 'x'), ('a', 3, 'x'); INSERT INTO t VALUES ('a', 1, 'x'), ('a', 2, 'x')""",
              e=entity(target={"from": "public.t", "where": "department IS NULL"}))
    with pytest.raises(psycopg.errors.RaiseException, match=f"e: department of public.t is {kind}"):
        tables.repair()
    assert tables.query("SELECT k, department FROM t") == [(1, None), (2, None)]


def test_deletion_column_of_a_timestamp_domain_is_used(make_tables: MakeTables) -> None:
    tables = make_tables("""CREATE TABLE s (tenant_id text, k int, v text); CREATE DOMAIN moment AS timestamptz;
              CREATE TABLE t (tenant_id text, k int, v text, gone moment);
              INSERT INTO s VALUES ('a', 1, 'x'); INSERT INTO t VALUES ('a', 1, 'x', now()), ('a', 2, 'x', NULL)""",
              e=entity(target={"from": "public.t", "where": "gone IS NULL"}))
    tables.repair()
    assert tables.query("SELECT k, gone IS NULL FROM t") == [(1, True), (2, False)]


@pytest.mark.parametrize(("ddl", "message"), [
    ("CREATE TABLE real (tenant_id text, k int, v text); CREATE VIEW t AS SELECT * FROM real",
     "public.t is not a table"),
    ("CREATE TABLE t (tenant_id text, k int, x text, v text GENERATED ALWAYS AS (x) STORED)",
     "v of public.t is generated"),
    ("CREATE TABLE t (tenant_id text, k int GENERATED ALWAYS AS IDENTITY, v text)", "k of public.t is generated"),
])
def test_target_that_cannot_be_written_aborts_the_batch(make_tables: MakeTables, ddl: str, message: str) -> None:
    tables = make_tables(f"CREATE TABLE s (tenant_id text, k int, v text); INSERT INTO s VALUES ('a', 1, 'x'); {ddl}")
    with pytest.raises(psycopg.errors.RaiseException, match=f"orgrecon: e: {message}"):
        tables.repair()


@pytest.mark.parametrize(("columns", "reason"), [
    ({"k": "k", "v": "v", "w": "v"}, "two names to one column"),
    ({"k": "k", "v": "v", "w": '"v"'}, "two names to one column"),
    ({"k": "k", "v": "v", "orgrecon_all": "w"}, "orgrecon_…"),
])
def test_column_names_that_a_repair_cannot_use_are_unsupported(
    make_tables: MakeTables, columns: dict[str, str], reason: str
) -> None:
    tables = make_tables("""CREATE TABLE s (tenant_id text, k int, v text, w text); CREATE TABLE t (LIKE s);
              INSERT INTO s VALUES ('a', 1, 'x', 'y'); INSERT INTO t VALUES ('a', 1, 'z', 'z')""",
              e=entity(columns={"tenant_id": "tenant_id", **columns}, compare=list(columns)[1:]))
    assert reason in tables.plan().script.unsupported["e"]


def test_rows_that_were_not_written_are_counted_in_the_notice(make_tables: MakeTables) -> None:
    tables = make_tables("""
              CREATE TABLE s (tenant_id text, k int, v text); CREATE TABLE t (tenant_id text, k int, v text UNIQUE);
              INSERT INTO s VALUES ('a', 1, 'x'), ('a', 2, 'y'), ('a', 3, 'z'), ('b', 4, 'q'), ('b', 5, 'w');
              INSERT INTO t VALUES ('a', 1, 'x'), ('c', 3, 'z'), ('b', 5, 'e');
              INSERT INTO s VALUES ('c', 3, 'z');
              CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
              CREATE TRIGGER no BEFORE INSERT OR UPDATE ON t FOR EACH ROW WHEN (NEW.tenant_id = 'b')
              EXECUTE FUNCTION f()""")
    assert tables.repair() == [
        "orgrecon: e, missing rows added: 1, 2 not added (in conflict with another row, or skipped by a trigger)",
        "orgrecon: e, values corrected: 0, 1 not corrected (skipped by a trigger)"]


def test_row_that_other_rows_refer_to_is_not_removed_and_the_notice_says_why(make_tables: MakeTables) -> None:
    living = {"from": "public.people", "columns": {"tenant_id": "tenant_id", "k": "id", "v": "name"}}
    tables = make_tables(f"""{TABLES} CREATE TABLE people_before (tenant_id text, k int, v text);
              INSERT INTO people VALUES (1, 'a', 'Kim'), (2, 'a', 'Lee'), (3, 'a', 'Ann');
              INSERT INTO people_before VALUES ('a', 3, 'Ann');
              INSERT INTO s VALUES ('a', 1, 'Kim'); INSERT INTO t VALUES ('a', 1, 1)""",
              e=entity(target=PEOPLE), people=entity("public.people_before", living))
    assert tables.repair() == [
        "orgrecon: people, unexpected keys removed: 1, 1 not removed (other rows refer to the row)"]
    assert tables.query("SELECT id FROM people ORDER BY id") == [(1,), (3,)]
