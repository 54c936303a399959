"""Tests of docs/architecture.md: its example, its guarantees and its map of the code."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from orgrecon_pipeline.compare.queries.column_type import ColumnType
from orgrecon_pipeline.compare.queries.row_hash import RowHash

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text("utf-8")
# The rows of the example: tenant, unit_id, and name on the source and on the target.
ROWS = [("acme", 1, "Sales", "Support"), ("acme", 2, "Support", "Sales"), ("beta", 7, "Sales", "Sales")]


def number(value: int) -> str:
    """Return an integer as the page writes it."""
    return str(value).replace("-", "−")


def test_example_numbers_are_those_of_the_server(
    company_database: str, connect: Callable[[str], psycopg.Connection[Any]],
) -> None:
    key = (sql.Identifier("unit_id"), ColumnType("bigint", False, native_equality=True))
    name = (sql.Identifier("name"), ColumnType("text", True, native_equality=True))
    row_hash = RowHash(native=True, seed=42).of([key], [name])
    statement = sql.SQL(
        "SELECT {}, hash_record_extended(ROW(unit_id, name), 42)"
        " FROM (VALUES (%s::bigint, %s::text)) AS r (unit_id, name)").format(row_hash)
    connection = connect(company_database)
    sums = {"acme": [0, 0, 0, 0], "beta": [0, 0, 0, 0]}
    balances = []
    for tenant, unit_id, *names in ROWS:
        hashes = [connection.execute(statement, (unit_id, value)).fetchone() for value in names]
        (source, source_record), (target, target_record) = (pair for pair in hashes if pair)
        assert f"| {tenant} | {unit_id} | {number(source)} | {number(target)} |" in PAGE
        row = (source, target, source_record, target_record)
        sums[tenant] = [total + value for total, value in zip(sums[tenant], row, strict=True)]
        balances.append((unit_id, source - target))
    for tenant, (source, target, source_record, target_record) in sums.items():
        assert f"| {number(source)} | {number(target)} |" in PAGE
        assert source_record == target_record, "hash_record_extended detects the swap"
        assert tenant == "beta" or number(source_record) in PAGE
    for unit_id, balance in balances[:2]:
        assert f"| key {unit_id} | {number(balance)} |" in PAGE
    assert PAGE.count(number(sums["acme"][0] - sums["acme"][1])) == 2


def test_map_lists_every_folder_of_the_code() -> None:
    rows = re.findall(r"^\| `(orgrecon_pipeline/[\w/]+)` \|", PAGE, re.MULTILINE)
    package = ROOT / "orgrecon_pipeline"
    folders = {str(path.parent.relative_to(ROOT)) for path in package.rglob("*.py") if path.parent != package}
    assert set(rows) == {folder for folder in folders if "migrations" not in folder}
    assert len(rows) == len(set(rows))
