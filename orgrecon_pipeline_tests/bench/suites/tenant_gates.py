"""Cost of the section *Ready tenants*: seven days, on each of which a hundredth of the tenants drifts.

``python -m orgrecon_pipeline_tests.bench.suites.tenant_gates LEDGER`` computes the section of the last day of a ledger.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.days import days_ending
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.ledger.open import open_existing, open_ledger
from orgrecon_pipeline.operations.trail.publish import record_of
from orgrecon_pipeline_tests.bench.cost import status_mb
from orgrecon_pipeline_tests.bench.results import Table, table
from orgrecon_pipeline_tests.bench.settings import TENANTS
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


def tables(server: EmbeddedServer) -> Iterator[Table]:
    """Yield one table. The ledgers are SQLite files, so the server is not used."""
    rows = []
    for tenants in (5_000, TENANTS):
        with tempfile.TemporaryDirectory(prefix="orgrecon-bench-") as directory:
            url = f"sqlite:///{Path(directory) / 'ledger.db'}"
            fill(url, tenants)
            run = subprocess.run(
                [sys.executable, "-m", __spec__.name, url], check=True, stdout=subprocess.PIPE, text=True)
            rows.append(json.loads(run.stdout))
    yield table("tenant gates", "Section *Ready tenants* of one report; once for each day, then stored",
                ("tenants", "ready", "drifting", "CPU s", "process MB"), rows)


def main() -> None:
    """Print one row of the table as JSON."""
    ledger = open_existing(sys.argv[1], _IDENTITY)
    started = time.process_time()
    section = record_of(ledger, DAY).ready_tenants
    seconds = time.process_time() - started
    assert section is not None
    print(json.dumps([f"{section.tenants:,}", f"{section.ready:,}", f"{section.drifting:,}", f"{seconds:.1f}",
                      f"{status_mb('self', 'VmHWM'):.0f}"]))


if __name__ == "__main__":
    main()
