"""Sizes of the benchmarks, from the environment."""

from __future__ import annotations

import os


def _numbers(variable: str, default: str) -> tuple[int, ...]:
    return tuple(int(text) for text in os.environ.get(variable, default).split(","))


#: Rows per side of the tables that show growth; ``BENCH_ROWS=30000000`` adds a size that needs 20 GB of disk.
SIZES = _numbers("BENCH_ROWS", "100000,300000,1000000,3000000,10000000")
#: Rows per side of the table of each shape.
[SHAPE_ROWS] = _numbers("BENCH_SHAPE_ROWS", "1000000")
#: Measured runs of each way, after one to warm up.
[ROUNDS] = _numbers("BENCH_ROUNDS", "3")
#: Drifting keys of the benchmark of rechecks, a half of its rows.
[KEYS] = _numbers("BENCH_KEYS", "1000000")
#: Tenants of the benchmark of tenant gates.
[TENANTS] = _numbers("BENCH_TENANTS", "1000000")
#: Days that are rendered again.
[DAYS] = _numbers("BENCH_DAYS", "365")
