"""Observations for the ledger's tests, and what a whole ledger holds, for comparing before and after."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime, timezone
from typing import Any

import psycopg

from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.evidence import EntityTotals, Observation, Provenance, Sample, TenantRow, Verdict
from orgrecon_pipeline.ledger.ledger import Ledger

DAY = date(2026, 11, 23)

# What canonical JSON, SQLite and Postgres could each spell in their own way.
AWKWARD: dict[str, Any] = {
    "gate": {"window_days": 7, "same_day": "latest", "min_live_days": 0},
    "floats": [0.1, 1e-7, 1e22, 5.0, 123456789.12345679, -0.0, 2.5e-320],
    "integers": [0, -1, 2**53 + 1, 10**30],
    "text": "é € 😀 \u2028 </script>--> & \t\n \x7f \u202e",
    "nested": {"b": {"z": None, "a": [True, False, {}]}, "a": [[], [[]]], "É": 1, "10": 2, "9": 3},
}


def totals(rows: int | None = 10, **figures: int | None) -> EntityTotals:
    """An entity's totals; what is not named is zero, or unknown where the rows are."""
    base = EntityTotals.unknown() if rows is None else EntityTotals.zero()
    return base.model_copy(update={"source_rows": rows, "target_rows": rows, **figures})


def observation(name: str, day: date = DAY, verdict: Verdict = Verdict.PASS, **changes: Any) -> Observation:
    """A live observation of 08:00 whose id is ``name``, with ``changes``."""
    values: dict[str, Any] = {
        "id": name, "day": day, "provenance": Provenance.LIVE, "verdict": verdict, "reason": f"the reason of {name}",
        "observed_at": datetime(day.year, day.month, day.day, 8, tzinfo=timezone.utc), "mapping_digest": "d" * 64,
        "orgrecon_version": "1.0.0", "tenants_scanned": 2, "tenants_with_drift": 0,
        "entities": {"org_units": totals(), "org_unit_memberships": totals(20)}, "compared": {},
    }
    return Observation(**{**values, **changes})


def tenant_row(tenant: str, entity: str = "org_units", **figures: int) -> TenantRow:
    """A tenant's row; what is not named is zero, the rows ten."""
    names = ("missing", "unexpected", "mismatched", "duplicate", "transient")
    return TenantRow(tenant=tenant, entity=entity, **{"source_rows": 10, "target_rows": 10, **dict.fromkeys(names, 0),
                                                      **figures})


def full(name: str = "full", day: date = DAY) -> tuple[Observation, list[TenantRow], list[Sample], list[CoverageEvent]]:
    """An observation with something in every place, and every place awkward."""
    observed = observation(
        name, day, Verdict.FAIL, compared=AWKWARD, reason="3 drifting keys | <b> é 😀", tenants_with_drift=2,
        observed_at=datetime(day.year, day.month, day.day, 8, 0, 3, 1, tzinfo=timezone.utc),
        entities={"org_units": totals(30, missing=2, duplicate=1), "a_last": totals(2**53 - 1, mismatched=1)},
    )
    rows = [
        tenant_row("zeta", missing=2, duplicate=1), tenant_row("zeta", "a_last", mismatched=1),
        tenant_row("Ärger | `x`"), tenant_row("Ärger | `x`", "a_last", source_rows=2**53 - 1),
        tenant_row("", transient=5),
    ]
    samples = [
        Sample(tenant="zeta", entity="org_units", kind="missing", key={"unit_id": "7", "b": "", "a": "😀\n"}),
        Sample(tenant="zeta", entity="a_last", kind="mismatched", key={"unit_id": "8"}, columns=("name", "kind"),
               values={"name": ("x", None), "kind": (None, "é <&>")}),
    ]
    coverage = [
        CoverageEvent(CoverageSubject.TENANT, "zeta", CoverageChange.APPEARED),
        CoverageEvent(CoverageSubject.ENTITY, "org_units", CoverageChange.APPEARED),
        CoverageEvent(CoverageSubject.COLUMN, "org_units.name", CoverageChange.LOST),
    ]
    return observed, rows, samples, coverage


def holdings(ledger: Ledger) -> dict[str, Any]:
    """Everything that a ledger says, through its public methods."""
    observations = [seen for day in ledger.days() for seen in ledger.observations(day)]
    return {
        "observations": observations,
        "tenants": {seen.id: ledger.breakdown(seen.id, 1_000_000) for seen in observations},
        "samples": {seen.id: ledger.samples(seen.id) for seen in observations},
        "lost": {seen.id: ledger.lost(seen.id) for seen in observations},
        "known": {(s, sim): list(ledger.known(s, simulated=sim)) for s in CoverageSubject for sim in (False, True)},
        "accepted": [seen for kind in ("coverage", "source") for seen in ledger.acknowledgements(kind)],
        "counts": ledger.verdict_counts(),
        "told": ledger.last_notified(),
    }


def raised(action: Callable[[], object]) -> BaseException:
    """The exception that an action raises, for tests that look at all of it."""
    try:
        action()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


@contextlib.contextmanager
def raw(url: str) -> Iterator[Any]:
    """A connection to a ledger's database that knows nothing of ledgers; every statement is committed at once."""
    if url.startswith("sqlite:///"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as plain:
            yield plain
    else:
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection


class Child:
    """A Python process that runs ``code`` with a ledger's URL in ``url``, and talks in lines."""

    def __init__(self, url: str, code: str) -> None:
        preamble = (
            f"import sys; url = {url!r}\n"
            "def say(line): print(line, flush=True)\n"
            "def hear(): return sys.stdin.readline().strip()\n"
        )
        self.process = subprocess.Popen([sys.executable, "-c", preamble + code], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def says(self) -> str:
        """The next line that the process prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the process ended: {self.process.communicate()[1]}")
        return line.strip()

    def tell(self, line: str = "go") -> None:
        """Give the process a line to hear."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def ends(self) -> tuple[int, list[str]]:
        """The exit code, negative for a signal, and the lines that were left."""
        out, err = self.process.communicate(timeout=120)
        sys.stderr.write(err)
        return self.process.returncode, out.splitlines()

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.process.kill()
        self.process.communicate()
