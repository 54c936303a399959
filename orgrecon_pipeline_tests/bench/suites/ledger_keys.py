"""Cost of storing very many drifting keys on each of two days, a tenth of which changes."""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg

from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.drift.key import DriftingKey, KeyState
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.open import open_ledger
from orgrecon_pipeline.operations.observe.history import new_drift
from orgrecon_pipeline_tests.bench.results import Table, table
from orgrecon_pipeline_tests.bench.settings import KEYS
from orgrecon_pipeline_tests.support.ledger.cases import DAY, observation, totals

_NAMESPACE = uuid.UUID(int=0)
_SIZE = """
SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
WHERE relname LIKE 'orgrecon%' AND relkind = 'r'
"""


def tables(server: EmbeddedServer) -> Iterator[Table]:
    """Yield one table."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="orgrecon-bench-") as directory:
        file = Path(directory) / "ledger.db"
        dsn = server.create_database("ledger")
        for name, url in (("SQLite", f"sqlite:///{file}"), ("PostgreSQL", dsn)):
            ledger = open_ledger(url, Identity("org-v23", ""))
            for day in range(2):
                cells = _append(ledger, day)
                size = file.stat().st_size if name == "SQLite" else _database_size(dsn)
                rows.append([name, str(day + 1), *cells, f"{size / 1e6:.0f}"])
        server.drop_database("ledger")
    yield table("ledger keys", f"A ledger that stores {KEYS:,} drifting keys on each of two days",
                ("ledger", "day", "elapsed s", "CPU s: process", "new", "persistent", "healed", "MB in total"), rows)


def _append(ledger: Ledger, day: int) -> list[str]:
    keys = {"org_unit_memberships": {"drifting": KEYS, "left_out": 0}}
    new = observation(
        f"day {day}", DAY + timedelta(days=day), Verdict.FAIL, compared={"keys": keys},
        entities={"org_unit_memberships": totals(KEYS, mismatched=KEYS), "org_units": totals()})
    started, cpu = time.perf_counter(), time.process_time()
    ledger.append(new, (), (), (), new_drift(ledger, new, _drifting_keys(day * KEYS // 10)))
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    stored = ledger.observation(new.id)
    assert stored is not None
    assert stored.change is not None
    return [f"{seconds:.1f}", f"{cpu:.1f}", *(f"{stored.change.total(state):,}" for state in KeyState)]


def _drifting_keys(first: int) -> Iterator[DriftingKey]:
    """Yield mismatched memberships of 500 tenants, with keys of two UUIDs."""
    for number in range(first, first + KEYS):
        unit, user = (str(uuid.uuid5(_NAMESPACE, f"{name}{number}")) for name in ("unit", "user"))
        tenant = str(uuid.UUID(int=number % 500))
        yield DriftingKey(tenant, "org_unit_memberships", (unit, user), ("mismatched",), ("role",))


def _database_size(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(_SIZE).fetchone()
    return int(row[0]) if row else 0
