"""Benchmark of the engine against other ways to compare the same tables, as ratios (``make bench``).

Each way runs once to warm up and then ``BENCH_ROUNDS`` times (default 3); the tables show the median. The rounds of
the different ways alternate, so that a busy machine slows down all of them. ``BENCH_ROWS`` (default
100000,1000000,10000000) lists memberships per side, ``BENCH_DRIFT`` (default 0,1,2,100) percentages of drifting
tenants, and ``BENCH_SHAPES`` (default flat,joined) mappings without and with a join. The embedded server has
PostgreSQL's default settings except for durability. Ways that take minutes are left out of large sizes.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pandas as pd
import psycopg

from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline_tests.bench.company import Size, company, sides, sql_ways
from orgrecon_pipeline_tests.bench.engine import Measured, measure

FLOOR, JOIN, BY_TENANT = "count(*) of the tables", "one FULL JOIN", "one FULL JOIN, counted by tenant"
RELADIFF = "reladiff, cross-database"
_PANDAS_ROWS = 1_000_000
_SLOW = 10_000_000


def ways(dsn: str, shape: str, size: Size) -> dict[str, Callable[[], Measured | None]]:
    """Return each way to compare, by name."""

    def in_sql(query: str) -> Callable[[], None]:
        def run() -> None:
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("SET jit = off")
                connection.execute(query).fetchall()

        return run

    result: dict[str, Callable[[], Measured | None]] = {
        name: in_sql(query) for name, query in sql_ways(shape).items()
        if size.rows < _SLOW or name in (FLOOR, JOIN, BY_TENANT)
    }
    result["orgrecon"] = lambda: measure(shape, dsn)
    if size.rows < _SLOW:
        result["orgrecon --exact"] = lambda: measure(shape, dsn, exact=True)
        # The same database with another URL: two connections, two snapshots, and a merge join in Python.
        result["orgrecon, as two databases"] = lambda: measure(shape, dsn, f"{dsn}&options=-cjit%3Doff")
    if size.rows <= _PANDAS_ROWS:
        result["pandas outer merge"] = lambda: merge_in_pandas(dsn, shape)
    if shape == "flat" and size.percent < 100 and find_spec("reladiff"):
        result[RELADIFF] = lambda: reladiff(dsn)
    return result


def merge_in_pandas(dsn: str, shape: str) -> None:
    """Compare by an outer merge in pandas."""
    with psycopg.connect(dsn) as connection:
        frames = [pd.DataFrame(connection.execute(query).fetchall(), columns=["tenant", "unit", "user", "role"])
                  for query in sides(shape)]
    both = frames[0].merge(frames[1], how="outer", on=["tenant", "unit", "user"], indicator=True)
    both[(both["_merge"] != "both") | (both["role_x"] != both["role_y"])].groupby("tenant").size()


def reladiff(dsn: str) -> None:
    """Run reladiff between two connections. It takes the directory of a socket as the host name."""
    parts = urlsplit(dsn)
    [directory] = parse_qs(parts.query)["host"]
    url = f"postgresql://{parts.netloc}{quote(directory, safe='')}{parts.path}"
    subprocess.run(
        [sys.executable, "-m", "reladiff", url, "team_members", f"{url}?application_name=other", "flat_memberships",
         "-k", "tenant_id", "-k", "team_id", "-k", "user_id", "-c", "role", "--stats"],
        check=True, capture_output=True)


def table(server: EmbeddedServer, size: Size, shapes: list[str], rounds: int) -> None:
    """Print a table per mapping for one size and percentage of drift."""
    with company(server, size) as dsn:
        for shape in shapes:
            measure_ways(dsn, size, shape, rounds)


def measure_ways(dsn: str, size: Size, shape: str, rounds: int) -> None:
    """Measure every way and print one table. reladiff is slow, so it runs only once."""
    taken: dict[str, list[float]] = {}
    peak: dict[str, float] = {}
    for round_number in range(rounds + 1):
        for name, run in ways(dsn, shape, size).items():
            if name == RELADIFF and round_number != rounds:
                continue
            started = time.perf_counter()
            result = run()
            seconds = time.perf_counter() - started
            if result is not None:
                seconds, peak[name] = result.seconds, result.peak_mb
            if round_number:
                taken.setdefault(name, []).append(seconds)
    show(size, shape, {name: statistics.median(times) for name, times in taken.items()}, peak)


def show(size: Size, shape: str, seconds: dict[str, float], peak: dict[str, float]) -> None:
    """Print a table."""
    print(f"\n{size.rows:,} memberships per side, {size.tenants:,} tenants, {size.percent} % of them with drift, "
          f"{shape} mapping\n")
    print("| way | median s | ÷ count(*) | ÷ FULL JOIN | … by tenant | peak MB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, taken in seconds.items():
        memory = f"{peak[name]:.0f}" if name in peak else ""
        print(f"| {name} | {taken:.2f} | {taken / seconds[FLOOR]:.1f} | {taken / seconds[JOIN]:.2f} | "
              f"{taken / seconds[BY_TENANT]:.2f} | {memory} |",
              flush=True)


def numbers(variable: str, default: str) -> list[int]:
    """Return the comma-separated numbers of an environment variable."""
    return [int(text) for text in os.environ.get(variable, default).split(",")]


def main() -> None:
    """Measure all sizes, mappings and percentages of drift."""
    rounds = int(os.environ.get("BENCH_ROUNDS", "3"))
    shapes = os.environ.get("BENCH_SHAPES", "flat,joined").split(",")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
          f"load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="orgrecon-bench-") as directory, EmbeddedServer(Path(directory)) as server:
        for rows in numbers("BENCH_ROWS", "100000,1000000,10000000"):
            for percent in numbers("BENCH_DRIFT", "0,1,2,100"):
                table(server, Size(rows, percent=percent), shapes, rounds)


if __name__ == "__main__":
    main()
