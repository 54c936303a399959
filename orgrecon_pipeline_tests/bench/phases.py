"""Cost of each phase of a comparison, with joined tables in random order (``python -m …bench.phases``).

Measures three companies with ``BENCH_ROWS`` (default 2000000) memberships per side: drift in 2 % of the tenants, drift
of half of all memberships, and a drifting tenant with half of all memberships. All figures of a company come from
``BENCH_ROUNDS`` (default 3) alternating rounds, and are medians. ``ORGRECON_PG_BIN`` chooses another PostgreSQL.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psycopg

from orgrecon_pipeline.compare.engine import open_reader
from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.dsn import Dsn, Endpoint, Endpoints
from orgrecon_pipeline_tests.bench.company import Size, company, mapping, sql_ways
from orgrecon_pipeline_tests.bench.server_cpu import server_cpu_seconds

Result = TypeVar("Result")

FLOOR, BY_TENANT = "count(*) of the tables", "one FULL JOIN, counted by tenant"
_RECHECKS = 2


class Meter:
    """Measures named steps, several times each."""

    def __init__(self, postmaster: int) -> None:
        self._postmaster = postmaster
        self.figures: dict[str, list[tuple[float, float, float]]] = {}

    def run(self, name: str, step: Callable[[], Result]) -> Result:
        """Run a step, and keep the CPU time of the server, that of this process, and the time that passed."""
        before = self._now()
        result = step()
        self.figures.setdefault(name, []).append(
            tuple(after - start for after, start in zip(self._now(), before, strict=True)))  # type: ignore[arg-type]
        return result

    def _now(self) -> tuple[float, float, float]:
        return server_cpu_seconds(self._postmaster), time.process_time(), time.perf_counter()


def measure(meter: Meter, dsn: str) -> None:
    """Run one round: other ways to compare, the first read, and the rechecks."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET jit = off")
        for name, query in sql_ways("joined").items():
            if name in (FLOOR, BY_TENANT):
                meter.run(name, lambda query=query: connection.execute(query).fetchall())  # type: ignore[misc]
    endpoint = Endpoint(Dsn.parse(dsn, "DSN"), "DSN")
    reader = open_reader(mapping("joined"), Endpoints(endpoint, endpoint), Deadline(3600.0))
    try:
        reader.run_preflight()
        with reader.snapshot():
            reader.run_self_test(0)
            fingerprints = meter.run("fingerprints", lambda: reader.read_fingerprints(0))
            drift = meter.run("drill-down", lambda: reader.find_drift(fingerprints, exact=False))
        for number in range(1, _RECHECKS + 1):
            with reader.snapshot():
                drift = meter.run(f"recheck {number}", lambda: reader.recheck(drift))  # noqa: B023
    finally:
        reader.close()


def show(title: str, figures: dict[str, list[tuple[float, float, float]]]) -> None:
    """Print the medians of one company as a table."""
    medians = {name: [statistics.median(column) for column in zip(*rounds, strict=True)]
               for name, rounds in figures.items()}
    medians["first read"] = [sum(pair) for pair in zip(medians["fingerprints"], medians["drill-down"], strict=True)]
    floor, read = medians[FLOOR][0], medians["first read"][0]
    print(f"\n{title}\n")
    print("| step | CPU s of the server | CPU s of the process | s | ÷ count(*) | ÷ first read |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, (server, process, seconds) in medians.items():
        print(f"| {name} | {server:.2f} | {process:.2f} | {seconds:.2f} | {server / floor:.1f} | {server / read:.2f} |",
              flush=True)


def main() -> None:
    """Measure all companies."""
    rows, rounds = int(os.environ.get("BENCH_ROWS", "2000000")), int(os.environ.get("BENCH_ROUNDS", "3"))
    sizes = {
        "2 % of the tenants drift": Size(rows, percent=2),
        "half of all keys drift": Size(rows, half_drifts=True),
        "a tenant with half of all rows drifts": Size(rows, percent=1, giant=True),
    }
    with tempfile.TemporaryDirectory(prefix="orgrecon-bench-") as directory, EmbeddedServer(Path(directory)) as server:
        for title, size in sizes.items():
            with company(server, size) as dsn:
                meter = Meter(server.pid)
                for _ in range(rounds):
                    measure(meter, dsn)
                show(f"{title}, {rows:,} memberships per side, load {os.getloadavg()[0]:.1f}", meter.figures)


if __name__ == "__main__":
    main()
