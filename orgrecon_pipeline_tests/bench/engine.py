"""One comparison in a process of its own: ``python -m orgrecon_pipeline_tests.bench.engine SHAPE SOURCE [TARGET]``.

Prints seconds, the peak memory of the process in MB, and the number of tenants that drift. ``BENCH_EXACT=1`` compares
every tenant by key.
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
    """What one process took."""

    seconds: float
    peak_mb: float
    drifting: int


def measure(shape: str, *dsns: str, exact: bool = False) -> Measured:
    """Run one comparison in a process of its own.

    Raises:
        subprocess.CalledProcessError: when it fails.
    """
    run = subprocess.run(
        [sys.executable, "-m", "orgrecon_pipeline_tests.bench.engine", shape, *dsns],
        check=True, capture_output=True, text=True, env={**os.environ, "BENCH_EXACT": "1" if exact else ""})
    return Measured(**json.loads(run.stdout))


def _peak_mb() -> float:
    """Of this process alone: getrusage's maximum outlives the exec, and is the parent's where that was larger."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def main() -> None:
    """Compare, and print what it took as JSON."""
    shape, source, *target = sys.argv[1:]
    places = [Endpoint(Dsn.parse(dsn, "DSN"), "DSN") for dsn in (source, *target)]
    started = time.perf_counter()
    found = compare(mapping(shape), Endpoints(places[0], places[-1]), exact=bool(os.environ.get("BENCH_EXACT")))
    print(json.dumps({
        "seconds": time.perf_counter() - started,
        "peak_mb": _peak_mb(),
        "drifting": found.tenants_with_drift,
    }))


if __name__ == "__main__":
    main()
