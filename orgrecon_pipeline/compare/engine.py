"""One comparison, from preflight to the last recheck."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from functools import partial

from orgrecon_pipeline.compare.keys.tracked_keys import Drift, merged, split
from orgrecon_pipeline.compare.one_database import OneDatabase
from orgrecon_pipeline.compare.preflight import SIDES
from orgrecon_pipeline.compare.progress import pulse
from orgrecon_pipeline.compare.reader import Reader
from orgrecon_pipeline.compare.result import Comparison, ReadResults, SnapshotPair
from orgrecon_pipeline.compare.row_hash import RowHash
from orgrecon_pipeline.compare.scan.fingerprints import Fingerprints
from orgrecon_pipeline.compare.two_databases import TwoDatabases
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.evidence import Sample
from orgrecon_pipeline.domain.mapping import MappingConfig
from orgrecon_pipeline.postgres.dsn import Endpoints
from orgrecon_pipeline.postgres.session import DatabaseIdentity, Deadline, Session

# How often `rechecks` reads are made at most: keys that both sides were writing are watched for a second round.
_ROUNDS = 2

Progress = Callable[[str], None]
#: Called once with the identity of the databases, inside the snapshot and before anything is compared; whoever calls
#: may refuse them by raising.
Admit = Callable[[SnapshotPair], None]


def compare(
    mapping: MappingConfig,
    places: Endpoints,
    *,
    exact: bool = False,
    admit: Admit = lambda snapshot: None,
    progress: Progress = lambda line: None,
    wait: Callable[[float], None] | None = None,
    deadline: Deadline | None = None,
) -> Comparison:
    """Compare both sides of every entity in one snapshot, then read drifting keys again.

    Args:
        mapping: what is compared, and how.
        places: where the sides are.
        exact: compare every tenant by key, not only those whose fingerprints differ.
        admit: see :data:`Admit`.
        progress: takes a line for people now and then.
        wait: sleeps for a number of seconds between two reads; None until the deadline is stopped.
        deadline: for whoever wants to stop it; None for one of its own.

    Raises:
        CannotDecide: whenever the comparison could not be completed.
    """
    started = time.monotonic()
    deadline = deadline or Deadline(mapping.scan.deadline_seconds)
    reader = open_reader(mapping, places, deadline)
    try:
        return _Comparing(mapping, reader, deadline, exact, progress, wait or deadline.sleep).run(admit, started)
    finally:
        reader.close()


def open_reader(mapping: MappingConfig, places: Endpoints, deadline: Deadline) -> Reader:
    """Connect to the databases.

    Raises:
        CannotDecide: when that fails.
    """
    source, target = (partial(Session, place, mapping.scan, deadline) for place in (places.source, places.target))
    if places.one_database:
        return OneDatabase(mapping, source, choose_digest())
    return TwoDatabases(mapping, source, target, choose_digest())


def choose_digest() -> RowHash:
    """The server's own hashes, with a new seed."""
    return RowHash(native=True, seed=secrets.randbits(62))


class _Comparing:
    """The state of one comparison on its way through the phases."""

    def __init__(self, mapping: MappingConfig, reader: Reader, deadline: Deadline, exact: bool, progress: Progress,
                 wait: Callable[[float], None]) -> None:
        self.mapping, self.reader, self.deadline, self.exact = mapping, reader, deadline, exact
        self.progress, self.wait = progress, wait
        self.samples: list[Sample] = []

    def run(self, admit: Admit, started: float) -> Comparison:
        tables = self.reader.examine()
        self.progress(f"examined: {tables} tables, all there and readable")
        with self.reader.snapshot() as snapshot:
            admit(snapshot)
            self.first_snapshot = snapshot
            self.reader.unchanged()
            declared = self.reader.declared()
            many = len(declared or ())
            self.reader.run_self_test(many)
            self.progress(f"fingerprints of both sides: {self.reader.rows}")
            with pulse(self.progress, lambda: f"fingerprints of both sides: {self.reader.rows}"):
                prints = self.reader.fingerprints(many)
            self.first_rows = {name: found.rows for name, found in prints.items()}
            first = self._first_read(prints)
            self.reader.unchanged()
            if not self.mapping.scan.rechecks:
                self._read_samples(first)
        left, unsettled, reads = self._recheck(first)
        found = ReadResults(prints, first, left, unsettled)
        return Comparison(
            observed_at=snapshot.source.observed_at,
            databases=snapshot.as_json_value(),
            totals=found.totals(),
            present=found.present,
            declared=found.present if declared == found.present else declared,  # one of them in memory
            tenant_rows=found.tenant_rows(declared, self.mapping.report.breakdown_limit),
            samples=tuple(self.samples),
            values={name: p.values for name, p in prints.items()},
            unsettled_keys=found.unsettled_keys,
            how={
                "digest_method": self.reader.digest.name,
                "exact": self.exact,
                "self_test": "passed",
                "rechecks_done": reads,
                "seconds": round(time.monotonic() - started, 3),
            },
        )

    def _first_read(self, prints: dict[str, Fingerprints]) -> Drift:
        for name, found in prints.items():
            compared = len(found.tenants if self.exact else found.differing)
            self.progress(f"{name}: {compared:,} of {len(found.tenants):,} tenants differ and are compared by key")
        with pulse(self.progress, lambda: "tenants compared by key"):
            return self.reader.first_read(prints, exact=self.exact)

    def _recheck(self, first: Drift) -> tuple[Drift, Drift, int]:
        """What is left of the first read's drift after the rechecks, what never settled, and how many reads it took.

        A key that is equal at any read is transient. One of which a side did not change for a whole round drifts. Of
        one that both sides were writing, nobody can tell a lag from a loss: it is watched for another round.
        """
        scan, reads = self.mapping.scan, 0
        none: Drift = {name: {} for name in first}
        if not scan.rechecks:
            return first, none, reads
        left, watched = none, first
        for _ in range(_ROUNDS):
            for number in range(1, scan.rechecks + 1):
                if not any(watched.values()):
                    return left, watched, reads
                self.progress(f"recheck {number} of {scan.rechecks} in {scan.settle_seconds:g} s")
                self.wait(min(scan.settle_seconds, self.deadline.remaining()))
                watched = self._read_again(watched, last=number == scan.rechecks)
                reads += 1
            drifting, watched = split(watched)
            left = merged(left, drifting)
        return left, watched, reads

    def _read_again(self, watched: Drift, *, last: bool) -> Drift:
        with self.reader.snapshot() as now:
            for side in SIDES:
                identity: DatabaseIdentity = getattr(now, side)
                standby = identity.standby
                if identity.heartbeat and (lag := identity.heartbeat.lag(self.mapping.scan.max_replica_lag_seconds)):
                    raise CannotDecide(lag)
                if standby and not standby.shows(getattr(self.first_snapshot, side).observed_at):
                    stalled = "has not replayed what it received" if standby.pending else "receives nothing any more"
                    raise CannotDecide(
                        f"the standby {stalled} since the first read: what differed then may have been put right, run "
                        "it again or read the primary"
                    )
            self.reader.unchanged()
            found = self.reader.read_again(watched)
            for name, tenants in watched.items():
                if tenants.keys() - found[name].keys():
                    self._not_emptied(name)
            if last:
                self._read_samples(split(found)[0])
            return found

    def _not_emptied(self, name: str) -> None:
        """Drift also ends when its side loses all rows: those keys are gone, and others drift that nobody watches."""
        for side in SIDES:
            if getattr(self.first_rows[name], side) and not self.reader.any_row(name, side):
                raise CannotDecide(f"{name}: the {side} lost every row while it was compared: run it again")

    def _read_samples(self, drifting: Drift) -> None:
        shown = self.mapping.report
        for name, found in drifting.items():
            self.samples += self.reader.samples(name, found, shown.sample_keys, with_values=shown.sample_values)
