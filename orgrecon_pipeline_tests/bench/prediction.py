"""Predicted against measured durations: ``python -m orgrecon_pipeline_tests.bench.prediction``.

Every shape is predicted twice: from the server's statistics alone, and from the last comparison after the tables grew
to ``GROWTH`` times their size. ``BENCH_ROWS`` (default 300000,3000000) lists memberships per side.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from orgrecon_pipeline.compare.engine import compare
from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.mapping import MappingConfig
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.doctor import diagnose
from orgrecon_pipeline.operations.observe.observe import observe
from orgrecon_pipeline_tests.bench.company import Size, company, mapping
from orgrecon_pipeline_tests.support.default_identity import open_ledger

GROWTH = 3
# In random order, and with new keys, which drift nowhere: both sides get them.
_SHUFFLE = """
CREATE TABLE shuffled AS SELECT * FROM org_unit_memberships ORDER BY md5(user_id::text);
TRUNCATE org_unit_memberships; INSERT INTO org_unit_memberships SELECT * FROM shuffled; DROP TABLE shuffled;
"""
_GROW = """
INSERT INTO {0} SELECT tenant_id, {1}, md5(user_id::text || copy)::uuid, role
    FROM {0}, generate_series(2, %(growth)s) AS copy;
"""
_TABLES = {"team_members": "team_id", "org_unit_memberships": "org_unit_id", "flat_memberships": "team_id"}


def predicted(context: Context) -> tuple[float, str]:
    """Return the seconds that ``doctor`` predicts, and what they rest on."""
    diagnosis = diagnose(context)
    prediction = diagnosis.prediction
    assert prediction
    assert prediction.seconds
    return prediction.seconds, prediction.basis


def measured(context: Context) -> float:
    """Return the seconds of the second of two comparisons."""
    [endpoints] = context.endpoints().values()
    for _ in range(2):
        started = time.monotonic()
        compare(context.mapping, endpoints)
    return time.monotonic() - started


def grow(dsn: str) -> None:
    """Grow the tables of memberships."""
    with psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        for table, unit in _TABLES.items():
            connection.execute(_GROW.format(table, unit), {"growth": GROWTH})
        connection.execute("VACUUM ANALYZE")


def shapes(dsn: str) -> Iterator[tuple[str, MappingConfig, dict[str, str]]]:
    """Yield the name, the mapping and the environment of each shape."""
    one = {"DATABASE_URL": dsn}
    yield "flat", mapping("flat"), one
    yield "flat, two databases", mapping("flat"), {**one, "ORGRECON_TARGET_DATABASE_URL": f"{dsn}&options=-cjit%3Doff"}
    yield "joined", mapping("joined"), one
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_SHUFFLE)
        connection.execute("VACUUM ANALYZE")
    yield "joined, random order", mapping("joined"), one


def main() -> None:
    """Print one row per shape and size."""
    print("| memberships per side | shape | basis | predicted s | measured s | ratio |")
    print("| ---: | --- | --- | ---: | ---: | ---: |")
    for rows in map(int, os.environ.get("BENCH_ROWS", "300000,3000000").split(",")):
        with (tempfile.TemporaryDirectory(prefix="og", ignore_cleanup_errors=True) as directory,
              EmbeddedServer(Path(directory) / "pg") as server, company(server, Size(rows, percent=1)) as dsn):
            contexts = {}
            for number, (name, of_shape, environ) in enumerate(shapes(dsn)):
                ledger = open_ledger(f"sqlite:///{directory}/{number}.db")
                contexts[name] = Context(of_shape, ledger, Path(directory) / str(number), environ=environ)
                show(rows, name, contexts[name])
                observe(contexts[name], contexts[name].clock.today())
            grow(dsn)
            for name, context in contexts.items():
                show(rows * GROWTH, name, context)


def show(rows: int, name: str, context: Context) -> None:
    """Print one row."""
    seconds, basis = predicted(context)
    actual = measured(context)
    print(f"| {rows:,} | {name} | {basis} | {seconds:.1f} | {actual:.1f} | {seconds / actual:.2f} |", flush=True)


if __name__ == "__main__":
    main()
