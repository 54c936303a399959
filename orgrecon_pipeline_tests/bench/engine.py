"""One comparison in its own process: ``python -m orgrecon_pipeline_tests.bench.engine SHAPE POSTMASTER SOURCE TARGET``.

Prints its cost as JSON. ``BENCH_EXACT=1`` compares every tenant by key, ``BENCH_PORTABLE=1`` computes portable
fingerprints too, and ``BENCH_RECHECKS`` sets the number of rechecks. With ``BENCH_WRITTEN=1``, a row of every tenant
is written on each side before each recheck.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

import psycopg
from psycopg import sql

from orgrecon_pipeline.compare.engine import compare
from orgrecon_pipeline.domain.mapping.model import EvidenceSettings
from orgrecon_pipeline.postgres.dsn import Dsn, Endpoint, Endpoints
from orgrecon_pipeline_tests.bench.cost import cpu_seconds, status_mb
from orgrecon_pipeline_tests.bench.shapes import SHAPES

_WRITE = """
UPDATE {table} AS t SET role = role || 'x' FROM (
    SELECT DISTINCT ON (tenant_id) ctid FROM {table} ORDER BY tenant_id, ctid
) AS chosen WHERE t.ctid = chosen.ctid
"""


@dataclass(frozen=True)
class EngineCost:
    """Cost of one comparison.

    Attributes:
        seconds: elapsed seconds.
        cpu_seconds: CPU seconds of the process, without its start.
        peak_mb: most memory of the process.
        drifting: number of drifting tenants.
        reads: CPU seconds of the server and the process together, for the first read and each recheck. The last one
            includes reading the keys.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float
    drifting: int
    reads: list[float]


def measure(
    shape: str, postmaster: int, source: str, target: str, *, exact: bool = False, portable: bool = False,
    rechecks: int = 0, written: bool = False,
) -> EngineCost:
    """Run one comparison in its own process.

    Raises:
        subprocess.CalledProcessError: if it fails.
    """
    run = subprocess.run(
        [sys.executable, "-m", __spec__.name, shape, str(postmaster), source, target],
        check=True, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "BENCH_EXACT": "1" if exact else "", "BENCH_RECHECKS": str(rechecks),
             "BENCH_PORTABLE": "1" if portable else "", "BENCH_WRITTEN": "1" if written else ""})
    return EngineCost(**json.loads(run.stdout))


def main() -> None:
    """Compare, and print the cost as JSON."""
    shape, postmaster, *dsns = sys.argv[1:]
    source, target = (Endpoint(Dsn.parse(dsn, "DSN"), "DSN") for dsn in dsns)
    rechecks = int(os.environ.get("BENCH_RECHECKS") or 0)
    mapping = SHAPES[shape].mapping(rechecks=rechecks)
    if os.environ.get("BENCH_PORTABLE"):
        mapping = mapping.model_copy(update={"evidence": EvidenceSettings(portable=True)})

    def total_cpu() -> float:
        return cpu_seconds(int(postmaster)) + time.process_time()

    def wait(seconds: float) -> None:
        # As an application would: where nothing is written between two reads, a recheck reads nothing.
        ends.append(total_cpu())
        for dsn, side in zip(dsns, SHAPES[shape].sides, strict=True):
            with psycopg.connect(dsn) as connection:
                connection.execute("SELECT pg_current_xact_id()")
                if os.environ.get("BENCH_WRITTEN"):
                    connection.execute(sql.SQL(_WRITE).format(table=sql.Identifier(side.table)))
        starts.append(total_cpu())

    started, cpu_started = time.perf_counter(), time.process_time()
    starts, ends = [total_cpu()], list[float]()
    comparison = compare(
        mapping, Endpoints(source, target), exact=bool(os.environ.get("BENCH_EXACT")), wait=wait)
    ends.append(total_cpu())
    print(json.dumps(asdict(EngineCost(
        seconds=time.perf_counter() - started, cpu_seconds=time.process_time() - cpu_started,
        # Not from getrusage: its maximum survives exec, so it can be the parent's.
        peak_mb=status_mb("self", "VmHWM"), drifting=comparison.tenants_with_drift,
        reads=[end - start for start, end in zip(starts, ends, strict=True)]))))


if __name__ == "__main__":
    main()
