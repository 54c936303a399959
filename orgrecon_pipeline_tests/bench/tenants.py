"""Benchmark of many small tenants against few large ones: ``python -m orgrecon_pipeline_tests.bench.tenants``.

Compares ``BENCH_ROWS`` (default 10000000) memberships per side, in tenants with 1,000 rows and in tenants with 10, and
prints the median of ``BENCH_ROUNDS`` (default 3) comparisons, each in its own process.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path

from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline_tests.bench.company import Size, company
from orgrecon_pipeline_tests.bench.engine import measure

TENANT_ROWS = (1_000, 10)
SHAPE = "flat"


def main() -> None:
    """Print one table."""
    rows, rounds = int(os.environ.get("BENCH_ROWS", "10000000")), int(os.environ.get("BENCH_ROUNDS", "3"))
    print("| tenants | rows per tenant | median s | ratio | peak MB |\n| ---: | ---: | ---: | ---: | ---: |")
    baseline = None
    with tempfile.TemporaryDirectory(prefix="orgrecon-bench-") as directory, EmbeddedServer(Path(directory)) as server:
        for size in (Size(rows, tenant_rows) for tenant_rows in TENANT_ROWS):
            with company(server, size) as dsn:
                measure(SHAPE, dsn)
                measured = [measure(SHAPE, dsn) for _ in range(rounds)]
            seconds = statistics.median(result.seconds for result in measured)
            baseline = baseline or seconds
            peak = max(result.peak_mb for result in measured)
            print(f"| {size.tenants:,} | {size.tenant_rows:,} | {seconds:.2f} | {seconds / baseline:.1f} | "
                  f"{peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
