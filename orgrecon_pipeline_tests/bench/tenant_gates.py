"""Benchmark of the tenant gates of a report: ``python -m orgrecon_pipeline_tests.bench.tenant_gates``.

A ledger on SQLite with ``BENCH_TENANTS`` (default 1000000) tenants and seven days, on each of which a hundredth of the
tenants drifts. Prints the CPU seconds and the peak memory of the process that computes the section of the last day.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.days import days_ending
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.ledger.open import open_existing, open_ledger
from orgrecon_pipeline.operations.trail.publish import record_of
from orgrecon_pipeline_tests.support.ledger.cases import DAY, observation, tenant_row, totals

_IDENTITY = Identity("org-v23", "")


def fill(url: str, tenants: int) -> None:
    """Store the days in a new ledger."""
    ledger = open_ledger(url, _IDENTITY)
    drifting = tenants // 100
    for number, day in enumerate(days_ending(DAY, 7)):
        first = number * drifting // 2  # half of them drifted on the day before
        rows = (tenant_row(f"tenant-{at:09}", missing=1) for at in range(first, first + drifting))
        appeared = (CoverageEvent(CoverageSubject.TENANT, f"tenant-{at:09}", CoverageChange.APPEARED)
                    for at in range(tenants if number == 0 else 0))
        made = observation(f"day {number}", day, Verdict.FAIL, ledger=ledger.id, tenants_scanned=tenants,
                           tenants_with_drift=drifting, entities={"org_units": totals(tenants, missing=drifting)})
        ledger.append(made, rows, (), appeared)


def measure(url: str) -> None:
    """Print one row of the table."""
    ledger = open_existing(url, _IDENTITY)
    started = time.process_time()
    section = record_of(ledger, DAY).ready_tenants
    seconds = time.process_time() - started
    assert section is not None
    print(f"| {section.tenants:,} | {section.ready:,} | {section.drifting:,} | {seconds:.1f} | "
          f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} |", flush=True)


def main() -> None:
    """Print one table."""
    if sys.argv[1:]:
        return measure(sys.argv[1])
    print("| tenants | ready | drifting | CPU s | peak MB |\n" + "| ---: " * 5 + "|", flush=True)
    for tenants in (5_000, int(os.environ.get("BENCH_TENANTS", "1000000"))):
        with tempfile.TemporaryDirectory(prefix="orgrecon-bench-") as directory:
            url = f"sqlite:///{Path(directory) / 'ledger.db'}"
            fill(url, tenants)
            subprocess.run([sys.executable, "-m", __spec__.name, url], check=True)
    return None


if __name__ == "__main__":
    main()
