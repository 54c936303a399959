"""Predicted next to measured durations.

Every shape and size is predicted twice: from the server's statistics alone, and from the last comparison after the
tables grew to three times their size. All of them drift; one has a recheck, for which the comparison waits.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
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
_SIZES = (1_000, 100_000, SHAPE_ROWS)
_RECHECK = {"rechecks": 1, "settle_seconds": 2}
# New memberships, which drift nowhere: both sides get them.
_GROW = """
INSERT INTO {0} SELECT tenant_id, {1}, md5(user_id::text || copy)::uuid, role
    FROM {0}, generate_series(2, %(growth)s) AS copy ORDER BY random();
"""
_TABLES = {"team_members": "team_id", "org_unit_memberships": "org_unit_id", "flat_memberships": "team_id"}


def tables(server: EmbeddedServer) -> Iterator[Table]:
    """Yield one table."""
    shapes = (FLAT, JOINED, SHAPES["two databases"])
    rows = [row for shape in shapes for size in _SIZES for row in _predict(server, shape, size)]
    rows += _predict(server, replace(FLAT, name="flat, one recheck"), _SIZES[0], **_RECHECK)
    yield table(
        "prediction", "What `doctor` predicts, next to the comparison that follows",
        ("shape", "rows per side", "predicted from", "predicted s", "measured s", "ratio"), rows)


def _predict(server: EmbeddedServer, shape: Shape, size: int, **scan: int) -> Iterator[list[str]]:
    with (tempfile.TemporaryDirectory(prefix="orgrecon-bench-") as directory,
          database(server, shape, size, tenants_percent=1) as dsn):
        environ = {"DATABASE_URL": dsn, "ORGRECON_TARGET_DATABASE_URL": shape.target_dsn(dsn)}
        context = Context(
            shape.mapping(**scan), open_ledger(f"sqlite:///{directory}/ledger.db"), Path(directory), environ=environ)
        yield _row(shape, size, context)
        observe(context, context.clock.today())
        with psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
            for name, unit in _TABLES.items():
                connection.execute(_GROW.format(name, unit), {"growth": _GROWTH})
            connection.execute("VACUUM ANALYZE")
        yield _row(shape, _GROWTH * size, context)


def _row(shape: Shape, rows: int, context: Context) -> list[str]:
    prediction = diagnose(context).prediction
    assert prediction
    assert prediction.seconds_if_drift
    [endpoints] = context.endpoints().values()
    # The second one finds the tables in memory.
    seconds = [compare(context.mapping, endpoints).how["seconds"] for _ in range(2)][1]
    predicted = prediction.seconds_if_drift
    return [shape.name, f"{rows:,}", prediction.basis.replace("_", " "), f"{predicted:.2f}", f"{seconds:.2f}",
            f"{predicted / seconds:.2f}"]
