"""Databases with benchmark data, which are dropped afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from orgrecon_pipeline.demo.company import create_schema
from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline_tests.bench.shapes import SQL, Shape

# Changes one row of each drifting tenant. They are spread over all tenants; the first tenant is one of them.
_DRIFT_OF_TENANTS = """
UPDATE {table} AS t SET role = 'owner' FROM (
    SELECT DISTINCT ON (tenant_id) ctid FROM {table}
    WHERE (substr(tenant_id, 8)::bigint - 1) % {tenants} < {drifting} ORDER BY tenant_id, ctid
) AS chosen WHERE t.ctid = chosen.ctid
"""
# Changes that percentage of all rows.
_DRIFT_OF_ROWS = "UPDATE {table} SET role = 'owner' WHERE random() * 100 < {percent}"


@contextmanager
def database(
    server: EmbeddedServer, shape: Shape, rows: int, *, tenants_percent: int = 0, rows_percent: int = 0
) -> Iterator[str]:
    """Yield the DSN of a vacuumed and analysed database with that many rows per side; drop it afterwards.

    Args:
        tenants_percent: percentage of tenants in which one row drifts.
        rows_percent: percentage of rows that drift, in all tenants.
    """
    dsn = server.create_database("bench")
    try:
        with psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
            fill(connection, shape, rows)
            table, tenants = sql.Identifier(shape.target.table), shape.parameters(rows)["tenants"]
            if tenants_percent:
                connection.execute(sql.SQL(_DRIFT_OF_TENANTS).format(
                    table=table, tenants=tenants, drifting=max(1, tenants * tenants_percent // 100)))
            if rows_percent:
                connection.execute(sql.SQL(_DRIFT_OF_ROWS).format(table=table, percent=rows_percent))
            connection.execute("VACUUM (ANALYZE, FREEZE)")
        yield dsn
    finally:
        server.drop_database("bench")


def fill(connection: psycopg.Connection, shape: Shape, rows: int, prefix: str = "tenant-") -> None:
    """Create the tables of a shape, whose tenants have names with this prefix, and fill them."""
    connection.execute("SET work_mem = '512MB'; SET maintenance_work_mem = '512MB'; SELECT setseed(0.5)")
    if shape.seed == "company":
        create_schema(connection)
    order = sql.SQL("1, 2" if shape.sorted else "random()")
    statements = (SQL / f"{shape.seed}.sql").read_text(encoding="utf-8")
    connection.execute(sql.SQL(statements).format(order=order), {**shape.parameters(rows), "prefix": prefix})
