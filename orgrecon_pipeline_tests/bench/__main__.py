"""``make bench``: the engine beside other ways to compare the same tables, in one run, as ratios.

Each way is run once to warm up and then ``BENCH_ROUNDS`` times (default 3), of which the median counts; rounds of the
different ways alternate, so that a busy moment of the machine meets them all. ``BENCH_ROWS`` (default 100000, 1000000
and 10000000) are memberships a side, ``BENCH_DRIFT`` (default 0,1,2,100) percentages of tenants that drift,
``BENCH_SHAPES`` (default flat,joined) mappings without and with a join. Data is built in an embedded server with
PostgreSQL's default settings but for durability. Ways that take minutes are left out of large sizes.
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
from orgrecon_pipeline_tests.bench.company import Size, company, rivals, sides
from orgrecon_pipeline_tests.bench.engine import Measured, measure

FLOOR, JOIN, BY_TENANT = "count(*) of the tables", "one FULL JOIN", "one FULL JOIN, counted by tenant"
RELADIFF = "reladiff, cross-database"
_PANDAS_ROWS = 1_000_000
_SLOW = 10_000_000


def ways(dsn: str, shape: str, size: Size) -> dict[str, Callable[[], Measured | None]]:
    """Each way to compare, by its name."""

    def in_sql(query: str) -> Callable[[], None]:
        def run() -> None:
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("SET jit = off")
                connection.execute(query).fetchall()

        return run

    found: dict[str, Callable[[], Measured | None]] = {
        name: in_sql(query) for name, query in rivals(shape).items()
        if size.rows < _SLOW or name in (FLOOR, JOIN, BY_TENANT)
    }
    found["orgrecon"] = lambda: measure(shape, dsn)
    if size.rows < _SLOW:
        found["orgrecon --exact"] = lambda: measure(shape, dsn, exact=True)
        # Another spelling of the same database: two connections, two snapshots, streams merged in Python.
        found["orgrecon, as two databases"] = lambda: measure(shape, dsn, f"{dsn}&options=-cjit%3Doff")
    if size.rows <= _PANDAS_ROWS:
        found["pandas outer merge"] = lambda: merged(dsn, shape)
    if shape == "flat" and size.percent < 100 and find_spec("reladiff"):
        found[RELADIFF] = lambda: reladiff(dsn)
    return found


def merged(dsn: str, shape: str) -> None:
    """The comparison as pandas does it."""
    with psycopg.connect(dsn) as connection:
        frames = [pd.DataFrame(connection.execute(query).fetchall(), columns=["tenant", "unit", "user", "role"])
                  for query in sides(shape)]
    both = frames[0].merge(frames[1], how="outer", on=["tenant", "unit", "user"], indicator=True)
    both[(both["_merge"] != "both") | (both["role_x"] != both["role_y"])].groupby("tenant").size()


def reladiff(dsn: str) -> None:
    """reladiff between two connections, as it compares two databases. A socket's directory it takes as the host."""
    parts = urlsplit(dsn)
    [directory] = parse_qs(parts.query)["host"]
    url = f"postgresql://{parts.netloc}{quote(directory, safe='')}{parts.path}"
    subprocess.run(
        [sys.executable, "-m", "reladiff", url, "team_members", f"{url}?application_name=other", "flat_memberships",
         "-k", "tenant_id", "-k", "team_id", "-k", "user_id", "-c", "role", "--stats"],
        check=True, capture_output=True)


def table(server: EmbeddedServer, size: Size, shapes: list[str], rounds: int) -> None:
    """One size and share of drift: a table for each mapping."""
    with company(server, size) as dsn:
        for shape in shapes:
            compared(dsn, size, shape, rounds)


def compared(dsn: str, size: Size, shape: str, rounds: int) -> None:
    """One table. reladiff takes so long that it has to do with one round."""
    taken: dict[str, list[float]] = {}
    peak: dict[str, float] = {}
    for turn in range(rounds + 1):
        for name, run in ways(dsn, shape, size).items():
            if name == RELADIFF and turn != rounds:
                continue
            started = time.perf_counter()
            result = run()
            seconds = time.perf_counter() - started
            if result is not None:
                seconds, peak[name] = result.seconds, result.peak_mb
            if turn:
                taken.setdefault(name, []).append(seconds)
    show(size, shape, {name: statistics.median(each) for name, each in taken.items()}, peak)


def show(size: Size, shape: str, seconds: dict[str, float], peak: dict[str, float]) -> None:
    """Print a table."""
    print(f"\n{size.rows:,} memberships a side, {size.tenants:,} tenants, {size.percent} % of them drift, "
          f"{shape} mapping\n")
    print("| what | median s | ÷ count(*) | ÷ FULL JOIN | … by tenant | peak MB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, taken in seconds.items():
        memory = f"{peak[name]:.0f}" if name in peak else ""
        print(f"| {name} | {taken:.2f} | {taken / seconds[FLOOR]:.1f} | {taken / seconds[JOIN]:.2f} | "
              f"{taken / seconds[BY_TENANT]:.2f} | {memory} |",
              flush=True)


def numbers(variable: str, default: str) -> list[int]:
    """A list in an environment variable."""
    return [int(text) for text in os.environ.get(variable, default).split(",")]


def main() -> None:
    """Measure all sizes, mappings and shares of drift."""
    rounds = int(os.environ.get("BENCH_ROUNDS", "3"))
    shapes = os.environ.get("BENCH_SHAPES", "flat,joined").split(",")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
          f"load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="orgrecon-bench-") as place, EmbeddedServer(Path(place)) as server:
        for rows in numbers("BENCH_ROWS", "100000,1000000,10000000"):
            for percent in numbers("BENCH_DRIFT", "0,1,2,100"):
                table(server, Size(rows, percent=percent), shapes, rounds)


if __name__ == "__main__":
    main()
