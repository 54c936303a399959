"""Predicted next to measured durations.

Every shape is predicted twice: from the server's statistics alone, and from the last comparison after the tables grew
to three times their size.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from orgrecon_pipeline.compare.engine import compare
from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.doctor import diagnose
from orgrecon_pipeline.operations.observe.observe import observe
from orgrecon_pipeline_tests.bench.data import database
from orgrecon_pipeline_tests.bench.results import Table, table
from orgrecon_pipeline_tests.bench.settings import SHAPE_ROWS
from orgrecon_pipeline_tests.bench.shapes import FLAT, JOINED, SHAPES, Shape
from orgrecon_pipeline_tests.support.default_identity import open_ledger

_GROWTH = 3
# New memberships, which drift nowhere: both sides get them.
_GROW = """
INSERT INTO {0} SELECT tenant_id, {1}, md5(user_id::text || copy)::uuid, role
    FROM {0}, generate_series(2, %(growth)s) AS copy ORDER BY random();
"""
_TABLES = {"team_members": "team_id", "org_unit_memberships": "org_unit_id", "flat_memberships": "team_id"}


def tables(server: EmbeddedServer) -> Iterator[Table]:
    """Yield one table."""
    rows = [row for shape in (FLAT, JOINED, SHAPES["two databases"]) for row in _predict(server, shape)]
    yield table(
        "prediction", "What `doctor` predicts, next to the comparison that follows",
        ("shape", "rows per side", "predicted from", "predicted s", "measured s", "ratio"), rows)


def _predict(server: EmbeddedServer, shape: Shape) -> Iterator[list[str]]:
    with (tempfile.TemporaryDirectory(prefix="orgrecon-bench-") as directory,
          database(server, shape, SHAPE_ROWS, tenants_percent=1) as dsn):
        environ = {"DATABASE_URL": dsn, "ORGRECON_TARGET_DATABASE_URL": shape.target_dsn(dsn)}
        context = Context(
            shape.mapping(), open_ledger(f"sqlite:///{directory}/ledger.db"), Path(directory), environ=environ)
        yield _row(shape, SHAPE_ROWS, context)
        observe(context, context.clock.today())
        with psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
            for name, unit in _TABLES.items():
                connection.execute(_GROW.format(name, unit), {"growth": _GROWTH})
            connection.execute("VACUUM ANALYZE")
        yield _row(shape, _GROWTH * SHAPE_ROWS, context)


def _row(shape: Shape, rows: int, context: Context) -> list[str]:
    prediction = diagnose(context).prediction
    assert prediction
    assert prediction.seconds
    [endpoints] = context.endpoints().values()
    for _ in range(2):
        started = time.monotonic()
        compare(context.mapping, endpoints)
        seconds = time.monotonic() - started  # of the second one, which finds the tables in memory
    return [shape.name, f"{rows:,}", prediction.basis.replace("_", " "), f"{prediction.seconds:.1f}", f"{seconds:.1f}",
            f"{prediction.seconds / seconds:.2f}"]
