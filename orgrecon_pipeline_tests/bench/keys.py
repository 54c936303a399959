"""Benchmark of a ledger with many drifting keys: ``python -m orgrecon_pipeline_tests.bench.keys``.

Appends two days with ``BENCH_KEYS`` (default 1000000) drifting keys each to a ledger on SQLite and one on Postgres; a
tenth of the keys changes from one day to the next. Prints the seconds, the CPU seconds of this process and the size of
the ledger after each day, and at the end the peak memory of the process.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg

from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.drifting_key import DriftingKey, KeyState
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.ledger.open import open_ledger
from orgrecon_pipeline.operations.observe.history import new_drift
from orgrecon_pipeline_tests.support.ledger.cases import DAY, observation, totals

_NAMESPACE = uuid.UUID(int=0)


def drifting_keys(count: int, first: int) -> Iterator[DriftingKey]:
    """Yield mismatched memberships of 500 tenants, with keys of two UUIDs."""
    for number in range(first, first + count):
        unit, user = (str(uuid.uuid5(_NAMESPACE, f"{name}{number}")) for name in ("unit", "user"))
        tenant = str(uuid.UUID(int=number % 500))
        yield DriftingKey(tenant, "org_unit_memberships", (unit, user), ("mismatched",), ("role",))


def main() -> None:
    """Print one table."""
    count = int(os.environ.get("BENCH_KEYS", "1000000"))
    print("| ledger | day | seconds | CPU seconds | MB | new | persistent | healed |\n" + "| --- " * 8 + "|")
    with tempfile.TemporaryDirectory(prefix="orgrecon-bench-") as directory, EmbeddedServer(Path(directory)) as server:
        file = Path(directory) / "ledger.db"
        dsn = server.create_database("ledger")
        for name, url in (("SQLite", f"sqlite:///{file}"), ("Postgres", dsn)):
            ledger = open_ledger(url, Identity("org-v23", ""))
            for day in range(2):
                keys = {"org_unit_memberships": {"drifting": count, "left_out": 0}}
                new = observation(
                    f"day {day}", DAY + timedelta(days=day), Verdict.FAIL, compared={"keys": keys},
                    entities={"org_unit_memberships": totals(count, mismatched=count), "org_units": totals()})
                started, cpu = time.perf_counter(), time.process_time()
                drift = new_drift(ledger, new, drifting_keys(count, day * count // 10))
                ledger.append(new, (), (), (), drift)
                seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
                stored = ledger.observation(new.id)
                assert stored is not None
                assert stored.change is not None
                states = " | ".join(f"{stored.change.total(state):,}" for state in KeyState)
                size = file.stat().st_size if name == "SQLite" else _database_size(dsn)
                print(f"| {name} | {day + 1} | {seconds:.1f} | {cpu:.1f} | {size / 1e6:.0f} | {states} |", flush=True)
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def _database_size(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c "
                                 "WHERE relname LIKE 'orgrecon%' AND relkind = 'r'").fetchone()
    return int(row[0]) if row else 0


if __name__ == "__main__":
    main()
