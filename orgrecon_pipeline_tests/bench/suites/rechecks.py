"""Cost of rechecks when very many keys drift, and of a drifting tenant that has half of all rows."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline_tests.bench.cost import ServerCost
from orgrecon_pipeline_tests.bench.data import database
from orgrecon_pipeline_tests.bench.engine import measure
from orgrecon_pipeline_tests.bench.results import Table, median_and_spread, table
from orgrecon_pipeline_tests.bench.settings import KEYS, ROUNDS
from orgrecon_pipeline_tests.bench.shapes import SHAPES

_SHAPES = ("flat", "joined", "text_keys", "two databases")
_WRITTEN_SHAPES = ("flat", "joined", "two databases")
# The CPU time of the last recheck includes reading the keys, so it is not shown.
_RECHECKS = 3


def tables(server: EmbeddedServer) -> Iterator[Table]:
    """Yield a table without writes to the rows, and one with a written row of every tenant before each recheck."""
    columns = ("shape", "first read, CPU s", "recheck 1, CPU s", "recheck 2, CPU s", "recheck ÷ first read",
               "elapsed s in all", "largest server process MB", "process MB")
    title = f"{KEYS:,} drifting keys of {2 * KEYS:,} rows per side"
    yield table("rechecks", title, columns, [_row(server, name) for name in _SHAPES])
    yield table("written", f"{title}, one row of every tenant written on each side before each recheck", columns,
                [_row(server, name, written=True) for name in _WRITTEN_SHAPES])


def _row(server: EmbeddedServer, name: str, *, written: bool = False) -> list[str]:
    shape = SHAPES[name]
    runs, server_mb = [], []
    with database(server, shape, 2 * KEYS, rows_percent=50) as dsn:
        for _ in range(ROUNDS):
            with ServerCost(server.pid) as cost:
                runs.append(measure(name, server.pid, dsn, shape.target_dsn(dsn), rechecks=_RECHECKS,
                                    written=written))
            server_mb.append(cost.peak_mb)
    reads = [[run.reads[number] for run in runs] for number in range(_RECHECKS)]
    ratios = [max(second, third) / first for first, second, third in zip(*reads, strict=True)]
    return [name.replace("_", " "), *(f"{statistics.median(values):.2f}" for values in reads),
            median_and_spread(ratios, 2), f"{statistics.median(run.seconds for run in runs):.1f}",
            f"{max(server_mb):.0f}", f"{max(run.peak_mb for run in runs):.0f}"]
