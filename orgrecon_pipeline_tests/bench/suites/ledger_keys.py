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

# Odd, so that different numbers give different UUIDs.
_UNIT, _USER = 0x9E3779B97F4A7C15F39CC0605CEDC835, 0xB5AD4ECEDA1CE2A9C4CEB9FE1A85EC53
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
    tenants = [str(uuid.UUID(int=number)) for number in range(500)]
    for number in range(first, first + KEYS):
        key = _uuid(number, _UNIT), _uuid(number, _USER)
        yield DriftingKey(tenants[number % 500], "org_unit_memberships", key, ("mismatched",), ("role",))


def _uuid(number: int, multiplier: int) -> str:
    """Return one of different UUIDs in no order. It takes a fifth of the time of ``uuid5``."""
    digits = f"{number * multiplier % 2**128:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _database_size(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(_SIZE).fetchone()
    return int(row[0]) if row else 0
