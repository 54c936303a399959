"""Tables that several entities read or write."""

from __future__ import annotations

from typing import Any

import pytest

from orgrecon_pipeline_tests.support.repair.scenario import COLUMNS, MakeTables, RepairScenario, entity

TABLES = """
    CREATE TABLE s (tenant_id text, k int, v text); CREATE TABLE s2 (tenant_id text, k int, v text);
    CREATE TABLE t (tenant_id text, k int, v text);
    INSERT INTO s VALUES ('a', 1, 'x'), ('a', 2, 'x'); INSERT INTO s2 VALUES ('a', 1, 'x');
    INSERT INTO t VALUES ('a', 1, 'x'), ('a', 2, 'x'), ('a', 3, 'x');
"""


def assert_unchanged(tables: RepairScenario, unsupported: dict[str, str]) -> None:
    script, before = tables.plan().script, tables.query("SELECT * FROM t")
    assert script.unsupported == unsupported
    tables.apply(script.sql)
    assert tables.query("SELECT * FROM t") == before


@pytest.mark.parametrize("table", ["public.t", '"public".T AS u'])
def test_two_entities_in_one_target_table_are_unsupported(make_tables: MakeTables, table: str) -> None:
    assert_unchanged(make_tables(TABLES, one=entity(), two=entity("public.s2", table)), {
        "one": "its target's table public.t is also the target of two",
        "two": f"its target's table {table.split()[0]} is also the target of one"})


def test_entity_in_the_table_of_an_unsupported_entity_is_unsupported(make_tables: MakeTables) -> None:
    other = entity("public.s2", {"from": "public.t", "where": "v <> 'y'"})
    tables = make_tables(TABLES, one=entity(), two=other)
    assert set(tables.plan().script.unsupported) == {"one", "two"}
    assert_unchanged(tables, tables.plan().script.unsupported)


@pytest.mark.parametrize("source", [
    {"from": "public.t", "where": "k < 3"}, {"from": '(SELECT * FROM public."t" WHERE k < 3) AS u'},
    {"from": "public.s", "where": "k IN (SELECT k FROM public.T)"},
])
def test_target_table_that_is_read_as_a_source_is_unsupported(make_tables: MakeTables, source: dict[str, Any]) -> None:
    tables = make_tables(TABLES, one=entity(), two=entity({**source, "columns": COLUMNS}, "public.s2"))
    script, before = tables.plan().script, tables.query("SELECT * FROM t")
    assert script.unsupported["one"] == "its target's table public.t is also read as a source"
    tables.apply(script.sql)
    assert tables.query("SELECT * FROM t") == before


UNITS = """
    CREATE TABLE teams (tenant_id text, k int, v text); CREATE TABLE members (tenant_id text, k int, v text);
    CREATE TABLE units (id int, tenant_id text, k int, v text); CREATE TABLE ms (tenant_id text, unit int, v text);
    INSERT INTO teams VALUES ('a', 1, 'x'); INSERT INTO members VALUES ('a', 1, 'm');
    INSERT INTO units VALUES (1, 'a', 1, 'x'), (2, 'a', 1, 'x'), (3, 'a', 9, 'x'); INSERT INTO ms VALUES ('a', 2, 'm');
"""


def members(unit: str = "u.k", table: str = "public.units u", **more: str) -> dict[str, Any]:
    joined = f"public.ms m JOIN {table} ON u.id = m.unit AND u.tenant_id = m.tenant_id"
    return entity("public.members", {
        "from": joined, "columns": {"tenant_id": "m.tenant_id", "k": unit, "v": "m.v"}, **more})


@pytest.mark.parametrize("child", [
    members(where="m.v <> 'y'"), members("u.k + 0"),
    members("(SELECT k FROM public.units AS x WHERE x.id = m.unit)", "public.units u"),
    entity("public.members", {"from": "(SELECT m.*, u.k FROM public.ms m JOIN public.Units u ON u.id = m.unit) AS m"}),
])
def test_rows_that_an_unsupported_entity_may_refer_to_are_not_removed(
    make_tables: MakeTables, child: dict[str, Any]
) -> None:
    tables = make_tables(UNITS, u=entity("public.teams", "public.units"), m=child)
    sql = tables.repair_sql()
    assert "-- u: surplus rows stay, because m may refer to them and cannot be repaired itself.\n" in sql
    tables.apply(sql)
    assert tables.query("SELECT id FROM units") == [(1,), (2,), (3,)]


@pytest.mark.parametrize("table", ["public.Units u", '"public"."units" AS u', 'PUBLIC.units "u"'])
def test_referenced_table_is_recognised_however_it_is_spelled(make_tables: MakeTables, table: str) -> None:
    tables = make_tables(UNITS, u=entity("public.teams", "public.units"), m=members(table=table))
    tables.repair()
    assert tables.query("SELECT id FROM units") == [(2,)], "a referenced row was removed"
    assert tables.query("SELECT * FROM ms") == [("a", 2, "m")]


def test_tables_that_refer_to_removed_rows_are_locked(make_tables: MakeTables) -> None:
    tables = make_tables(f"{UNITS} DELETE FROM units WHERE id = 1",
                         u=entity("public.teams", "public.units"), m=members())
    assert "LOCK TABLE public.ms, public.units IN SHARE ROW EXCLUSIVE MODE;" in tables.repair_sql()
