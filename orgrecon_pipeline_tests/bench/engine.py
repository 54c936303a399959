"""One comparison in its own process: ``python -m orgrecon_pipeline_tests.bench.engine SHAPE SOURCE [TARGET]``.

Prints the seconds, the peak memory of the process in MB, and the number of drifting tenants as JSON. With
``BENCH_EXACT=1``, every tenant is compared by key.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from orgrecon_pipeline.compare.engine import compare
from orgrecon_pipeline.postgres.dsn import Dsn, Endpoint, Endpoints
from orgrecon_pipeline_tests.bench.company import mapping


@dataclass(frozen=True)
class Measured:
    """Seconds and peak memory of one process, and the number of drifting tenants."""

    seconds: float
    peak_mb: float
    drifting: int


def measure(shape: str, *dsns: str, exact: bool = False) -> Measured:
    """Run one comparison in its own process.

    Raises:
        subprocess.CalledProcessError: if it fails.
    """
    run = subprocess.run(
        [sys.executable, "-m", "orgrecon_pipeline_tests.bench.engine", shape, *dsns],
        check=True, capture_output=True, text=True, env={**os.environ, "BENCH_EXACT": "1" if exact else ""})
    return Measured(**json.loads(run.stdout))


def _peak_mb() -> float:
    # Not from getrusage: its maximum survives exec, so it can be the parent's.
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def main() -> None:
    """Compare, and print the measurement as JSON."""
    shape, source, *target = sys.argv[1:]
    endpoints = [Endpoint(Dsn.parse(dsn, "DSN"), "DSN") for dsn in (source, *target)]
    started = time.perf_counter()
    exact = bool(os.environ.get("BENCH_EXACT"))
    comparison = compare(mapping(shape), Endpoints(endpoints[0], endpoints[-1]), exact=exact)
    print(json.dumps({
        "seconds": time.perf_counter() - started,
        "peak_mb": _peak_mb(),
        "drifting": comparison.tenants_with_drift,
    }))


if __name__ == "__main__":
    main()
