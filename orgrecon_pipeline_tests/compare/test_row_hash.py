"""The row hash detects differences that weaker hashes miss.

PostgreSQL's own hashes are made for joins, where a collision costs only time. They fold the two halves of a bigint,
and ignore the sign of a numeric and the shape of an array. The hash of a record is a weighted sum over its columns, so
a sum over rows does not show which value belongs to which key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql

from orgrecon_pipeline.compare import engine
from orgrecon_pipeline.compare.engine import compare
from orgrecon_pipeline.compare.queries.column_type import ColumnType
from orgrecon_pipeline.compare.queries.row_hash import RowHash
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline_tests.support.compare.endpoints import two_databases

#: Tenants with the difference. A hash that detects it only by chance does not detect it in all of them.
TENANTS = 40

# Types of key, a and b; the rows of source and of target.
CASES = {
    "values swapped between two keys": (
        ("bigint", "text", "text"), "(1, 'admin', 'x'), (2, 'member', 'x')", "(1, 'member', 'x'), (2, 'admin', 'x')"),
    "values rotated over three keys": (
        ("text", "int", "text"), "('a', 1, 'x'), ('b', 2, 'x'), ('c', 3, 'x')",
        "('a', 2, 'x'), ('b', 3, 'x'), ('c', 1, 'x')"),
    "columns of one row swapped": (("int", "text", "text"), "(1, 'a', 'b')", "(1, 'b', 'a')"),
    "text moved to the next column": (("int", "text", "text"), "(1, 'ab', 'c')", "(1, 'a', 'bc')"),
    "NULL in another column": (("int", "text", "text"), "(1, NULL, 'a')", "(1, 'a', NULL)"),
    "NULL and the empty text": (("int", "text", "text"), "(1, NULL, 'a')", "(1, '', 'a')"),
    "NULL and zero": (("int", "bigint", "text"), "(1, NULL, NULL)", "(1, 0, NULL)"),
    "NULL and no uuid": (
        ("int", "uuid", "text"), "(1, NULL, NULL)", "(1, '00000000-0000-0000-0000-000000000000', NULL)"),
    "both NULL and one NULL": (("int", "boolean", "boolean"), "(1, NULL, NULL)", "(1, false, NULL)"),
    "the halves of a bigint": (("int", "bigint", "text"), "(1, 1, 'x')", "(1, 4294967296, 'x')"),
    "the halves of a negative bigint": (("int", "bigint", "text"), "(1, -1, 'x')", "(1, -4294967297, 'x')"),
    "the halves of a bigint in the key": (("bigint", "text", "text"), "(1, 'x', 'x')", "(4294967296, 'x', 'x')"),
    "the sign of a numeric": (("int", "numeric", "text"), "(1, 5.25, 'x')", "(1, -5.25, 'x')"),
    "nesting in jsonb": (("int", "jsonb", "text"), "(1, '[[1],2]', 'x')", "(1, '[[1,2]]', 'x')"),
    "the shape of an array": (("int", "int[]", "text"), "(1, '{1,2}', 'x')", "(1, '{{1,2}}', 'x')"),
    "the halves of a time": (
        ("int", "timestamptz", "text"),
        "(1, '2000-01-01 00:00:00.000001Z', 'x')", "(1, '2000-01-01 01:11:34.967296Z', 'x')"),
    "the halves of a time of day": (
        ("int", "time", "text"), "(1, '00:00:00.000001', 'x')", "(1, '01:11:34.967296', 'x')"),
    "a microsecond": (
        ("int", "timestamp", "text"), "(1, '2000-01-01 00:00:00', 'x')", "(1, '2000-01-01 00:00:00.000001', 'x')"),
    "infinite times": (("int", "timestamptz", "text"), "(1, 'infinity', 'x')", "(1, '-infinity', 'x')"),
    "days": (("int", "date", "date"), "(1, '1999-12-31', '2000-01-02')", "(1, '2000-01-02', '1999-12-31')"),
    "days as keys": (("date", "text", "text"), "('2000-01-01', 'x', 'x')", "('4713-01-01 BC', 'x', 'x')"),
    "NULL and the first day": (("int", "date", "text"), "(1, NULL, 'x')", "(1, '2000-01-01', 'x')"),
    "infinite days": (("int", "date", "text"), "(1, 'infinity', 'x')", "(1, '-infinity', 'x')"),
    "the last day and infinity": (("int", "date", "text"), "(1, '5874897-12-31', 'x')", "(1, 'infinity', 'x')"),
    "the first day and -infinity": (("int", "date", "text"), "(1, '4714-11-24 BC', 'x')", "(1, '-infinity', 'x')"),
    "the halves of an interval": (
        ("int", "interval", "text"), "(1, '0.000001 s', 'x')", "(1, '4294.967296 s', 'x')"),
}


@pytest.mark.parametrize("two", [False, True], ids=["one database", "two databases"])
@pytest.mark.parametrize("native", [True, False], ids=["native", "portable"])
@pytest.mark.parametrize("case", CASES)
def test_row_hash_detects_the_difference_in_every_tenant(
    new_database: Callable[[], str], connect: Callable[[str], psycopg.Connection[Any]],
    monkeypatch: pytest.MonkeyPatch, case: str, native: bool, two: bool,
) -> None:
    if not native:
        monkeypatch.setattr(engine, "new_row_hash", lambda: RowHash(native=False, seed=7))
    (key, a, b), *sides = CASES[case]
    source = new_database()
    target = new_database() if two else source
    for table, dsn, rows in zip(("old", "new"), (source, target), sides, strict=True):
        admin = connect(dsn)
        admin.execute(f"CREATE TABLE public.{table} (t text, k {key}, a {a}, b {b})")
        admin.execute(
            f"INSERT INTO public.{table} SELECT 'tenant ' || n, r.* "
            f"FROM generate_series(1, {TENANTS}) AS n, (VALUES {rows}) AS v (k, a, b), "
            f"LATERAL (SELECT v.k::{key}, v.a::{a}, v.b::{b}) AS r")
    columns = {"tenant_id": "t", "k": "k", "a": "a", "b": "b"}
    mapping = MappingConfig.model_validate({
        "version": 1, "scan": {"settle_seconds": 0, "rechecks": 0},
        "entities": {"things": {"key": ["k"], "compare": ["a", "b"],
                                "source": {"from": "public.old", "columns": columns},
                                "target": {"from": "public.new", "columns": columns}}}})

    comparison = compare(mapping, two_databases(source, target))

    assert comparison.tenants_with_drift == TENANTS


# A value of each type.
VALUES = {
    "smallint": "1", "integer": "1", "bigint": "1", "boolean": "true", "date": "2000-01-01",
    "time without time zone": "00:00", "timestamp without time zone": "2000-01-01",
    "timestamp with time zone": "2000-01-01", "text": "", "uuid": "00000000-0000-0000-0000-000000000000",
    "numeric": "1", "double precision": "1", "interval": "1 s",
}


@pytest.mark.parametrize("native", [True, False], ids=["native", "portable"])
@pytest.mark.parametrize("kind", VALUES)
def test_row_hash_is_null_only_if_a_key_is_null(
    empty_database: str, connect: Callable[[str], psycopg.Connection[Any]], kind: str, native: bool
) -> None:
    a, b = ((sql.Identifier(name), ColumnType(kind, collatable=kind == "text", native_equality=True)) for name in "ab")
    row_hash = RowHash(native, seed=7)
    rows = sql.SQL(f"(SELECT NULL::{kind} AS a, '{VALUES[kind]}'::{kind} AS b) AS r")
    hashes = [row_hash.of([a]), row_hash.of([a, b]), row_hash.of([b, a]), row_hash.of([b]), row_hash.of([b], [a])]
    [row] = connect(empty_database).execute(sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(hashes), rows))
    assert [value is None for value in row] == [True, True, True, False, False]
