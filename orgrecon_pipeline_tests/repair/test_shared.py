"""Tables that several entities have to do with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orgrecon_pipeline.domain.mapping import Entity
from orgrecon_pipeline.repair.target_shape import shape_of
from orgrecon_pipeline_tests.support.operations.repair_pair import BOTH, Pair, entity

Pairs = Callable[..., Pair]
TABLES = """
    CREATE TABLE s (tenant_id text, k int, v text); CREATE TABLE s2 (tenant_id text, k int, v text);
    CREATE TABLE t (tenant_id text, k int, v text);
    INSERT INTO s VALUES ('a', 1, 'x'), ('a', 2, 'x'); INSERT INTO s2 VALUES ('a', 1, 'x');
    INSERT INTO t VALUES ('a', 1, 'x'), ('a', 2, 'x'), ('a', 3, 'x');
"""


def untouched(of: Pair, why: dict[str, str]) -> None:
    repair, before = of.healing().repair, of.table("SELECT * FROM t")
    assert repair.unsupported == why
    of.apply(repair.sql)
    assert of.table("SELECT * FROM t") == before


@pytest.mark.parametrize("table", ["public.t", '"public".T AS u'])
def test_two_entities_of_one_table_are_not_healed(pair: Pairs, table: str) -> None:
    untouched(pair(TABLES, one=entity(), two=entity("public.s2", table)), {
        "one": "its target's table public.t is that of two too",
        "two": f"its target's table {table.split()[0]} is that of one too"})


def test_nor_is_one_beside_another_that_cannot_be_healed(pair: Pairs) -> None:
    other = entity("public.s2", {"from": "public.t", "where": "v <> 'y'"})
    of = pair(TABLES, one=entity(), two=other)
    assert set(of.healing().repair.unsupported) == {"one", "two"}
    untouched(of, of.healing().repair.unsupported)


@pytest.mark.parametrize("source", [
    {"from": "public.t", "where": "k < 3"}, {"from": '(SELECT * FROM public."t" WHERE k < 3) AS u'},
    {"from": "public.s", "where": "k IN (SELECT k FROM public.T)"},
])
def test_nothing_is_written_that_the_source_reads(pair: Pairs, source: dict[str, Any]) -> None:
    of = pair(TABLES, one=entity(), two=entity({**source, "columns": BOTH}, "public.s2"))
    repair, before = of.healing().repair, of.table("SELECT * FROM t")
    assert repair.unsupported["one"] == "its target's table public.t is one of the source's"
    of.apply(repair.sql)
    assert of.table("SELECT * FROM t") == before


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
def test_nothing_is_removed_that_what_cannot_be_healed_may_refer_to(pair: Pairs, child: dict[str, Any]) -> None:
    of = pair(UNITS, u=entity("public.teams", "public.units"), m=child)
    sql = of.healing().repair.sql
    assert "-- u: what is too much stays, for m may refer to it, and cannot be healed itself.\n" in sql
    of.apply(sql)
    assert of.table("SELECT id FROM units") == [(1,), (2,), (3,)]


@pytest.mark.parametrize("table", ["public.Units u", '"public"."units" AS u', 'PUBLIC.units "u"'])
def test_a_table_is_known_however_it_is_spelled(pair: Pairs, table: str) -> None:
    of = pair(UNITS, u=entity("public.teams", "public.units"), m=members(table=table))
    of.apply(of.healing().repair.sql)
    assert of.table("SELECT id FROM units") == [(2,)], "what is referred to stays"
    assert of.table("SELECT * FROM ms") == [("a", 2, "m")]


def test_so_is_a_column() -> None:
    def side(k: str, on: str) -> dict[str, Any]:
        return {"from": f"s.a a JOIN s.b b ON {on}", "columns": {"tenant_id": 'a."tenant"', "k": k, "v": "B.v"}}

    plain = side("a.k", "b.id = a.b_id AND b.tenant = a.tenant")
    odd = side('"a".K', '"b".id = a."b_id" AND b."tenant" = A.tenant')
    one, other = (shape_of(Entity.model_validate(entity(relation, relation))) for relation in (plain, odd))
    assert [len(of.own) for of in (one, other)] == [2, 2]
    assert [of.lookups[0].columns for of in (one, other)] == [(("v", "v"),)] * 2


def test_who_may_refer_to_removed_rows_waits(pair: Pairs) -> None:
    of = pair(f"{UNITS} DELETE FROM units WHERE id = 1", u=entity("public.teams", "public.units"), m=members())
    assert "LOCK TABLE public.ms, public.units IN SHARE ROW EXCLUSIVE MODE;" in of.healing().repair.sql
