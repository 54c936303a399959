"""Run benchmarks: ``make bench``, or ``python -m orgrecon_pipeline_tests.bench [SUITE…]``.

Stores the tables in ``docs/benchmarks.json`` and generates ``docs/benchmarks.md`` from them.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg

from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline_tests.bench import page, results
from orgrecon_pipeline_tests.bench.results import Table
from orgrecon_pipeline_tests.bench.suites import (
    fingerprints,
    ledger_keys,
    methods,
    prediction,
    rechecks,
    rendering,
    shards,
    startup,
    tenant_gates,
    trail,
)

#: Benchmarks by name. Each yields its tables; the given server is theirs to use.
SUITES: dict[str, Callable[[EmbeddedServer], Iterator[Table]]] = {
    "shapes": methods.shapes,
    "growth": methods.growth,
    "rechecks": rechecks.tables,
    "prediction": prediction.tables,
    "shards": shards.tables,
    "ledger-keys": ledger_keys.tables,
    "tenant-gates": tenant_gates.tables,
    "fingerprints": fingerprints.tables,
    "trail": trail.tables,
    "rendering": rendering.tables,
    "startup": startup.tables,
}
# These use ledgers in SQLite files only.
_WITHOUT_SERVER = {"tenant-gates", "fingerprints", "trail", "rendering"}


def main() -> None:
    """Run the named suites, by default all, and store each table as soon as it is measured."""
    names = sys.argv[1:] or list(SUITES)
    if unknown := [name for name in names if name not in SUITES]:
        raise SystemExit(f"no benchmark is called {', '.join(unknown)}: choose from {', '.join(SUITES)}")
    with tempfile.TemporaryDirectory(prefix="orgrecon-bench-") as directory, EmbeddedServer(Path(directory)) as server:
        with psycopg.connect(server.dsn()) as connection:
            version = connection.info.parameter_status("server_version") or results.NO_SERVER
        for name in names:
            started = time.monotonic()
            for table in SUITES[name](server):
                results.store(table, results.NO_SERVER if name in _WITHOUT_SERVER else version)
                print(f"\n{table.title}\n\n{table.markdown}", flush=True)
            print(f"\n{name}: {time.monotonic() - started:.0f} s", flush=True)
    page.write()


if __name__ == "__main__":
    main()
