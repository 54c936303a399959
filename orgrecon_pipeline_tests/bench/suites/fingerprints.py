"""Cost of keeping the fingerprints of a day in the ledger."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
import uuid
from array import array
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

from orgrecon_pipeline.compare.queries.hash_sum import BIGINT_SUMS
from orgrecon_pipeline.compare.scan.evidence import snapshot_fingerprints
from orgrecon_pipeline.compare.scan.side_scan import SideFingerprints, compare_sides
from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.tenant_names import TenantNames
from orgrecon_pipeline_tests.bench.cost import status_mb
from orgrecon_pipeline_tests.bench.results import Table, table
from orgrecon_pipeline_tests.bench.settings import TENANTS
from orgrecon_pipeline_tests.support.ledger.cases import new_sqlite_ledger, observation

_ENTITIES = ("org_units", "org_unit_memberships")


def tables(server: EmbeddedServer) -> Iterator[Table]:
    """Yield one table. The ledgers are SQLite files, so the server is not used."""
    rows = []
    for tenants in (5_000, TENANTS):
        command = [sys.executable, "-m", __name__, str(tenants)]
        rows += json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    yield table(
        "fingerprints", "What keeping fingerprints adds to a day: two entities, equal sides, UUIDs as tenants, SQLite",
        ("tenants", "day", "CPU s: sums", "figures and root", "packing and appending", "together",
         "growth of the ledger, MB", "of the process, MB"), rows)


def _measure(count: int) -> Iterator[list[str]]:
    """Yield a row for the first day, and one for the next day with the same tenants."""
    rng = random.Random(1)
    names = TenantNames.of(str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(count))
    sides = [_scanned(names, rng) for _ in _ENTITIES]
    compared = {name: compare_sides((), side, side) for name, side in zip(_ENTITIES, sides, strict=True)}
    with tempfile.TemporaryDirectory(prefix="orgrecon-bench-") as directory:
        path = Path(directory) / "ledger.db"
        ledger = new_sqlite_ledger(path)
        ledger.append(observation("none"), (), (), ())
        memory = status_mb("self", "VmHWM")
        for day in range(2):
            size, made = path.stat().st_size, observation(f"day {day}", date(2026, 11, 23) + timedelta(days=day))
            sums = _cpu_seconds(lambda: [side.sums() for side in sides])
            started = time.process_time()
            kept = snapshot_fingerprints(1, "-1 UTF8", names, {"native": compared})
            kept.facts()
            root = time.process_time() - started
            started = time.process_time()
            ledger.append(made, (), (), (), fingerprints={"": kept})
            append = time.process_time() - started
            grown = (path.stat().st_size - size) / 1e6
            yield [f"{count:,}", str(day + 1), *(f"{cost:.2f}" for cost in (sums, root, append, sums + root + append)),
                   f"{grown:.1f}", f"{status_mb('self', 'VmHWM') - memory:.0f}"]


def _cpu_seconds(action: Callable[[], object]) -> float:
    started = time.process_time()
    action()
    return time.process_time() - started


def _scanned(tenants: TenantNames, rng: random.Random) -> SideFingerprints:
    """Return the scan of a side, with few rows in each tenant."""

    def numbers(bits: int) -> array[int]:
        return array("q", (rng.getrandbits(bits) - 2 ** (bits - 1) for _ in range(len(tenants))))

    rows = array("q", (rng.randrange(1, 30) for _ in range(len(tenants))))
    return SideFingerprints(BIGINT_SUMS, tenants, rows, numbers(36), numbers(36), sum(rows), 0, ())


if __name__ == "__main__":
    print(json.dumps(list(_measure(int(sys.argv[1])))))
