"""Cost of keeping fingerprints: python -m orgrecon_pipeline_tests.bench.fingerprints [TENANTS]"""

from __future__ import annotations

import random
import resource
import sys
import tempfile
import time
import uuid
from array import array
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

from orgrecon_pipeline.compare.queries.hash_sum import BIGINT_SUMS
from orgrecon_pipeline.compare.scan.evidence import snapshot_fingerprints
from orgrecon_pipeline.compare.scan.side_scan import SideFingerprints, compare_sides
from orgrecon_pipeline.domain.tenant_names import TenantNames
from orgrecon_pipeline_tests.support.ledger.cases import new_sqlite_ledger, observation

ENTITIES = ("org_units", "org_unit_memberships")
T = TypeVar("T")


def measured(name: str, action: Callable[[], T]) -> T:
    """Run an action and print its time, CPU time and the peak memory of the process."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = action()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{name:<40} {time.perf_counter() - wall:6.2f} s  {time.process_time() - cpu:6.2f} s CPU  peak {peak} MB")
    return result


def scanned(tenants: TenantNames, rng: random.Random) -> SideFingerprints:
    """Return the scan of a side, with few rows in each tenant."""
    def numbers(bits: int) -> array[int]:
        return array("q", (rng.getrandbits(bits) - 2 ** (bits - 1) for _ in range(len(tenants))))

    rows = array("q", (rng.randrange(1, 30) for _ in range(len(tenants))))
    return SideFingerprints(BIGINT_SUMS, tenants, rows, numbers(36), numbers(36), sum(rows), 0, ())


def main(count: int) -> None:
    """Print the costs of one observation, and of the next one with the same tenants."""
    rng = random.Random(1)
    names = TenantNames.of(str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(count))
    sides = {name: scanned(names, rng) for name in ENTITIES}
    compared = {name: compare_sides((), side, side) for name, side in sides.items()}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ledger.db"
        ledger = new_sqlite_ledger(path)
        ledger.append(observation("none"), (), (), ())
        for day in range(2):
            before = path.stat().st_size
            for side in sides.values():
                measured("sums modulo 2**64, one entity", side.sums)
            kept = measured("figures by entity and side", lambda: snapshot_fingerprints(
                1, "-1 UTF8", names, {"native": compared}))
            measured("root", kept.facts)
            measured("packing", kept.pack)
            made = observation(f"day {day}", date(2026, 11, 23) + timedelta(days=day))
            measured("append, with packing and the chain", lambda made=made, kept=kept: ledger.append(  # type: ignore[misc]
                made, (), (), (), fingerprints={"": kept}))
            print(f"the ledger grew by {(path.stat().st_size - before) / 1e6:.1f} MB\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
