"""Ways to compare the two sides of a shape, measured with CPU time, elapsed time, memory and temporary files."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import parse_qs, quote, urlsplit

import psycopg

from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline_tests.bench.cost import ServerCost
from orgrecon_pipeline_tests.bench.engine import measure
from orgrecon_pipeline_tests.bench.shapes import Shape

FLOOR, JOIN, BY_TENANT = "`count(*)` of the tables", "one `FULL JOIN`", "one `FULL JOIN`, counted by tenant"
ORGRECON = "orgrecon"
# Ways that need minutes are left out of larger sizes.
_SMALL = 300_000
# A statement over few rows is below the resolution of CPU times, so it runs several times.
_MEASURABLE = 1_000_000


@dataclass(frozen=True)
class Sample:
    """One run. ``process_cpu`` and ``process_mb`` are 0 for plain SQL, whose client does nothing."""

    seconds: float
    server_cpu: float
    process_cpu: float
    server_mb: float
    process_mb: float
    temp_mb: float

    @property
    def cpu(self) -> float:
        """CPU seconds of server and process."""
        return self.server_cpu + self.process_cpu


def ways(server: EmbeddedServer, dsn: str, shape: Shape, rows: int) -> dict[str, Callable[[], Sample]]:
    """Return each way that is fast enough for that many rows, by name."""
    statements = sql_ways(shape)
    repeats = max(1, _MEASURABLE // rows)
    result: dict[str, Callable[[], Sample]] = {
        name: _sql(server, dsn, statement, 5 * repeats if name == FLOOR else repeats)
        for name, statement in statements.items() if rows <= _SMALL or name in (FLOOR, JOIN, BY_TENANT)}
    result[ORGRECON] = _orgrecon(server, dsn, shape)
    if rows <= _SMALL:
        result["orgrecon `--exact`"] = _orgrecon(server, dsn, shape, exact=True)
    if shape.name == "flat":
        result["orgrecon, with portable fingerprints too"] = _orgrecon(server, dsn, shape, portable=True)
    if shape.name == "flat" and find_spec("reladiff"):
        result["reladiff, cross-database"] = _reladiff(server, dsn, shape)
    return result


def sql_ways(shape: Shape) -> dict[str, str]:
    """Return the ways in SQL. The floor only counts the rows of the tables."""
    source, target = (side.select for side in shape.sides)
    key = ", ".join(("tenant_id", *shape.key))
    first = shape.key[0]
    differs = " OR ".join(f"s.{name} IS DISTINCT FROM t.{name}" for name in shape.compare)
    on = " AND ".join(f"s.{name} = t.{name}" for name in ("tenant_id", *shape.key))
    counts = " + ".join(f"(SELECT count(*) FROM {side.table})" for side in shape.sides)
    return {
        FLOOR: f"SELECT {counts}",
        JOIN: f"SELECT count(*) FROM ({source}) s FULL JOIN ({target}) t USING ({key}) WHERE {differs}",
        # The answer that a comparison must give: rows and drifting keys by tenant and kind.
        BY_TENANT:
            f"SELECT coalesce(s.tenant_id, t.tenant_id), count(s.{first}), count(t.{first}), "
            f"count(*) FILTER (WHERE t.{first} IS NULL), count(*) FILTER (WHERE s.{first} IS NULL), "
            f"count(*) FILTER (WHERE s.{first} IS NOT NULL AND t.{first} IS NOT NULL AND ({differs})) "
            f"FROM ({source}) s FULL JOIN ({target}) t ON {on} GROUP BY 1",
        "`EXCEPT ALL` both ways":
            f"SELECT count(*) FROM (({source} EXCEPT ALL {target}) UNION ALL ({target} EXCEPT ALL {source})) AS d",
    }


def _sql(server: EmbeddedServer, dsn: str, statement: str, repeats: int) -> Callable[[], Sample]:
    def run() -> Sample:
        before = _temp_mb(dsn)
        started = time.perf_counter()
        with ServerCost(server.pid) as cost, psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("SET jit = off")
            for _ in range(repeats):
                connection.execute(statement.encode()).fetchall()
        seconds = time.perf_counter() - started
        return Sample(
            seconds / repeats, cost.cpu_seconds / repeats, 0.0, cost.peak_mb, 0.0, (_temp_mb(dsn) - before) / repeats)

    return run


def _orgrecon(
    server: EmbeddedServer, dsn: str, shape: Shape, *, exact: bool = False, portable: bool = False
) -> Callable[[], Sample]:
    def run() -> Sample:
        before = _temp_mb(dsn)
        with ServerCost(server.pid) as cost:
            own = measure(shape.name, server.pid, dsn, shape.target_dsn(dsn), exact=exact, portable=portable)
        return Sample(own.seconds, cost.cpu_seconds, own.cpu_seconds, cost.peak_mb, own.peak_mb, _temp_mb(dsn) - before)

    return run


def _reladiff(server: EmbeddedServer, dsn: str, shape: Shape) -> Callable[[], Sample]:
    parts = urlsplit(dsn)
    [directory] = parse_qs(parts.query)["host"]
    url = f"postgresql://{parts.netloc}{quote(directory, safe='')}{parts.path}"  # takes a socket's directory as host
    source, target = shape.sides
    keys = [part for column in ("tenant_id", *shape.key) for part in ("-k", source.columns[column])]
    command = [sys.executable, "-m", "reladiff", url, source.table, f"{url}?application_name=other", target.table,
               *keys, "-c", "role", "--stats"]

    def run() -> Sample:
        before, started, cpu_before = _temp_mb(dsn), time.perf_counter(), _children_cpu()
        with ServerCost(server.pid) as cost:
            subprocess.run(command, check=True, capture_output=True)
        return Sample(time.perf_counter() - started, cost.cpu_seconds, _children_cpu() - cpu_before, cost.peak_mb, 0.0,
                      _temp_mb(dsn) - before)

    return run


def _children_cpu() -> float:
    """Return the CPU seconds of the ended child processes, with their start."""
    times = os.times()
    return times.children_user + times.children_system


def _temp_mb(dsn: str) -> float:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT temp_bytes FROM pg_stat_database WHERE datname = current_database()").fetchone()
    return row[0] / 1e6 if row else 0.0
