"""Tables that several entities have to do with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from operations_patient import BOTH, Pair, entity

Pairs = Callable[..., Pair]
TABLES = """
    CREATE TABLE s (tenant_id text, k int, v text); CREATE TABLE s2 (tenant_id text, k int, v text);
    CREATE TABLE t (tenant_id text, k int, v text);
    INSERT INTO s VALUES ('a', 1, 'x'), ('a', 2, 'x'); INSERT INTO s2 VALUES ('a', 1, 'x');
    INSERT INTO t VALUES ('a', 1, 'x'), ('a', 2, 'x'), ('a', 3, 'x');
"""


def untouched(of: Pair, why: dict[str, str]) -> None:
    repair, before = of.healing().repair, of.table("SELECT * FROM t")
    assert repair.unhealable == why
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
    assert set(of.healing().repair.unhealable) == {"one", "two"}
    untouched(of, of.healing().repair.unhealable)


@pytest.mark.parametrize("source", [
    {"from": "public.t", "where": "k < 3"}, {"from": '(SELECT * FROM public."t" WHERE k < 3) AS u'},
    {"from": "public.s", "where": "k IN (SELECT k FROM public.T)"},
])
def test_nothing_is_written_that_the_source_reads(pair: Pairs, source: dict[str, Any]) -> None:
    of = pair(TABLES, one=entity(), two=entity({**source, "columns": BOTH}, "public.s2"))
    repair, before = of.healing().repair, of.table("SELECT * FROM t")
    assert repair.unhealable["one"] == "its target's table public.t is one of the source's"
    of.apply(repair.sql)
    assert of.table("SELECT * FROM t") == before
