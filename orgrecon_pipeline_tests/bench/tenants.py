"""Many tenants of few rows beside few of many: ``python -m orgrecon_pipeline_tests.bench.tenants``.

``BENCH_ROWS`` (default 10000000) memberships a side, in tenants of 1,000 rows and in tenants of 10; the median of
``BENCH_ROUNDS`` (default 3) comparisons, each in a process of its own.
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
    print("| tenants | rows of each | median s | ratio | peak MB |\n| ---: | ---: | ---: | ---: | ---: |")
    few = None
    with tempfile.TemporaryDirectory(prefix="orgrecon-bench-") as place, EmbeddedServer(Path(place)) as server:
        for size in (Size(rows, tenant_rows) for tenant_rows in TENANT_ROWS):
            with company(server, size) as dsn:
                measure(SHAPE, dsn)
                measured = [measure(SHAPE, dsn) for _ in range(rounds)]
            seconds = statistics.median(each.seconds for each in measured)
            few = few or seconds
            peak = max(each.peak_mb for each in measured)
            print(f"| {size.tenants:,} | {size.tenant_rows:,} | {seconds:.2f} | {seconds / few:.1f} | {peak:.0f} |",
                  flush=True)


if __name__ == "__main__":
    main()
