"""Observations for the tests of the ledger, and helpers that read everything a ledger holds."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.databases import UNSHARDED
from orgrecon_pipeline.domain.drift.key import KeyState
from orgrecon_pipeline.domain.drift.kinds import DriftKind
from orgrecon_pipeline.domain.evidence import (
    FIGURES,
    Change,
    EntityTotals,
    Observation,
    Oldest,
    Provenance,
    Sample,
    SkippedDay,
    StateCounts,
    TenantRow,
    Verdict,
)
from orgrecon_pipeline.domain.integrity.snapshot_fingerprints import SideFigures, SnapshotFingerprints
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.domain.tenant_names import TenantNames
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.python_process import start_python

DAY = date(2026, 11, 23)

# Values that canonical JSON, SQLite and Postgres might write differently.
AWKWARD: dict[str, Any] = {
    "gate": {"window_days": 7, "same_day": "latest", "min_live_days": 0},
    "floats": [0.1, 1e-7, 1e22, 5.0, 123456789.12345679, -0.0, 2.5e-320],
    "integers": [0, -1, 2**53 + 1, 10**30],
    "text": "é € 😀 \u2028 </script>--> & \t\n \x7f \u202e",
    "nested": {"b": {"z": None, "a": [True, False, {}]}, "a": [[], [[]]], "É": 1, "10": 2, "9": 3},
}


def totals(rows: int | None = 10, **figures: int | None) -> EntityTotals:
    """Return the totals of an entity; other figures are zero, or unknown if ``rows`` is None."""
    base = EntityTotals.unknown() if rows is None else EntityTotals.zero()
    return base.model_copy(update={"source_rows": rows, "target_rows": rows, **figures})


def observation(name: str, day: date = DAY, verdict: Verdict = Verdict.PASS, **changes: Any) -> Observation:
    """Return a live observation made at 08:00 with the id ``name`` and the given changes."""
    values: dict[str, Any] = {
        "id": name, "title": "Org Model v2.3", "ledger": "0123456789abcdef",
        "day": day, "provenance": Provenance.LIVE, "verdict": verdict, "reason": f"the reason of {name}",
        "reason_code": ReasonCode.ZERO_DRIFT, "reason_parameters": {"tenants_scanned": 2, "rows_compared": 60},
        "observed_at": datetime(day.year, day.month, day.day, 8, tzinfo=timezone.utc), "mapping_digest": "d" * 64,
        "orgrecon_version": "1.0.0", "tenants_scanned": 2, "tenants_with_drift": 0,
        "entities": {"org_units": totals(), "org_unit_memberships": totals(20)}, "compared": {},
    }
    return Observation(**{**values, **changes})


def tenant_row(tenant: str, entity: str = "org_units", **fields: Any) -> TenantRow:
    """Return a tenant row with ten rows on each side; other figures are zero unless given."""
    return TenantRow(tenant=tenant, entity=entity, **{
        **dict.fromkeys(FIGURES, 0), "source_rows": 10, "target_rows": 10, **fields})


def full(name: str = "full", day: date = DAY) -> tuple[Observation, list[TenantRow], list[Sample], list[CoverageEvent]]:
    """Return the arguments of ``append`` for an observation with difficult values in every field."""
    fail = observation(
        name, day, Verdict.FAIL, compared=AWKWARD, reason_code=ReasonCode.DRIFT, reason_parameters=AWKWARD,
        reason="3 keys | <b> é 😀", tenants_with_drift=2,
        observed_at=datetime(day.year, day.month, day.day, 8, 0, 3, 1, tzinfo=timezone.utc),
        entities={"org_units": totals(30, missing=2, duplicate=1), "a_last": totals(2**53 - 1, mismatched=1)},
        change=Change(
            since=day - timedelta(days=3), observation="an earlier one",
            skipped=(SkippedDay(day=day - timedelta(days=2), verdict=Verdict.INCONCLUSIVE),
                     SkippedDay(day=day - timedelta(days=1), verdict=Verdict.MISSING)),
            entities={name: {kind.value: StateCounts(new=new, persistent=persistent, healed=healed)
                             for kind in DriftKind} for name, new, persistent, healed in (
                                 ("org_units", None, None, None), ("a_last", 1, 2**53 - 1, 0))},
            oldest={"org_units": None, "a_last": Oldest(first_seen=day - timedelta(days=9), tenant="Ärger | `x`")}),
    )
    rows = [
        tenant_row("zeta", missing=2, duplicate=1, first_seen=day),
        tenant_row("zeta", "a_last", mismatched=1, first_seen=day - timedelta(days=9)),
        tenant_row("Ärger | `x`"), tenant_row("Ärger | `x`", "a_last", source_rows=2**53 - 1),
        tenant_row("", transient=5),
    ]
    samples = [
        Sample(tenant="zeta", entity="org_units", kind="missing", key={"unit_id": "7", "b": "", "a": "😀\n"},
               first_seen=day, state=KeyState.NEW),
        Sample(tenant="zeta", entity="a_last", kind="mismatched", key={"unit_id": "8"}, columns=("name", "kind"),
               values={"name": ("x", None), "kind": (None, "é <&>")}, show={"updated_at": "é → NULL", "by": None},
               first_seen=day - timedelta(days=9), state=KeyState.PERSISTENT),
    ]
    coverage = [
        CoverageEvent(CoverageSubject.TENANT, "zeta", CoverageChange.APPEARED),
        CoverageEvent(CoverageSubject.ENTITY, "org_units", CoverageChange.APPEARED),
        CoverageEvent(CoverageSubject.COLUMN, "org_units.name", CoverageChange.LOST),
    ]
    return fail, rows, samples, coverage


def fingerprints(*tenants: str) -> dict[str, SnapshotFingerprints]:
    """Return the fingerprints of a database with these tenants, of which the first drifts."""
    names = TenantNames.of(tenants or ("zeta", "Ärger | `x`", ""))
    source = SideFigures.of(range(len(names)), {"native": [2**64 - 1 - position for position in range(len(names))]})
    target = source.replaced([0], {"rows": [7], "native": [8]})
    return {UNSHARDED: SnapshotFingerprints(2**61, "-1 UTF8", names, {
        "a_last": {"source": source, "target": source}, "org_units": {"source": source, "target": target}})}


def contents(ledger: Ledger) -> dict[str, Any]:
    """Return everything that a ledger's public methods read, to compare it before and after an operation."""
    observations = [observation for day in ledger.days() for observation in ledger.observations(day)]
    ids = [observation.id for observation in observations]
    return {
        "observations": observations,
        "tenants": {id_: ledger.breakdown(id_, 1_000_000) for id_ in ids},
        "samples": {id_: ledger.samples(id_) for id_ in ids},
        "fingerprints": {id_: ledger.fingerprints(id_) for id_ in ids},
        "lost": {id_: ledger.lost_coverage(id_) for id_ in ids},
        "known": {(subject, simulated): list(ledger.known_names(subject, simulated=simulated))
                  for subject in CoverageSubject for simulated in (False, True)},
        "acknowledged": [ledger.acknowledgements("coverage"), ledger.acknowledgements("source")],
        "verdicts": ledger.verdict_counts(),
        "notified": ledger.last_notified(),
    }


def raised(action: Callable[[], object]) -> BaseException:
    """Return the exception that an action raises."""
    try:
        action()
    except BaseException as error:
        return error
    raise AssertionError("no exception was raised")


@contextlib.contextmanager
def raw_connection(url: str) -> Iterator[Any]:
    """Open an autocommit connection to a ledger's database that bypasses the ledger."""
    if url.startswith("sqlite:///"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as sqlite:
            yield sqlite
    else:
        with psycopg.connect(url, autocommit=True) as postgres:
            yield postgres


class ChildProcess:
    """A Python process that runs ``code``, with the ledger's URL in ``url``; it exchanges lines with the test.

    In ``code``, ``write_line(line)`` sends a line to the test and ``read_line()`` waits for a line from the test.
    """

    def __init__(self, url: str, code: str, *, fresh: bool = False) -> None:
        preamble = (
            f"import sys; url = {url!r}\n"
            "def write_line(line): print(line, flush=True)\n"
            "def read_line(): return sys.stdin.readline().strip()\n"
        )
        self.process = start_python(preamble + code, fresh=fresh)

    def read_line(self) -> str:
        """Return the next line that the process writes."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the process ended: {self.process.communicate()[1]}")
        return line.strip()

    def write_line(self, line: str = "go") -> None:
        """Send a line to the process."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def finish(self) -> tuple[int, list[str]]:
        """Wait for the end; return the exit code (negative for a signal) and the remaining lines."""
        out, err = self.process.communicate(timeout=120)
        sys.stderr.write(err)
        return self.process.returncode, out.splitlines()

    def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        self.process.kill()
        self.process.communicate()


def new_sqlite_ledger(path: Path) -> Ledger:
    """Create an empty ledger at ``path`` as a copy, without running the migrations again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_empty_sqlite_ledger())
    return open_ledger(f"sqlite:///{path}")


@cache
def _empty_sqlite_ledger() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "ledger.db")
        open_ledger(f"sqlite:///{path}")
        return path.read_bytes()
