"""Comparison of both sides, from the preflight checks to the last recheck (see docs/architecture.md)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice

from orgrecon_pipeline.compare.failures.cause import name_cause
from orgrecon_pipeline.compare.inspection import lock_queue_warning
from orgrecon_pipeline.compare.keys.key_spool import CHUNK, KeySpool
from orgrecon_pipeline.compare.keys.tracked_keys import Drift, count_keys, merge_drift, split_by_flux
from orgrecon_pipeline.compare.one_database import OneDatabase
from orgrecon_pipeline.compare.progress import periodic_progress
from orgrecon_pipeline.compare.queries.row_filter import RowFilter
from orgrecon_pipeline.compare.queries.row_hash import RowHash
from orgrecon_pipeline.compare.reader import Reader
from orgrecon_pipeline.compare.result import Comparison, ReadResults, SnapshotPair
from orgrecon_pipeline.compare.samples.first_keys import FirstKeysByKind
from orgrecon_pipeline.compare.scan.evidence import snapshot_fingerprints
from orgrecon_pipeline.compare.scan.fingerprints import Fingerprints
from orgrecon_pipeline.compare.two_databases import TwoDatabases
from orgrecon_pipeline.domain.duration import EarlierComparison, predict_from_rows, time_left
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.evidence import Sample
from orgrecon_pipeline.domain.mapping.model import SIDES, MappingConfig
from orgrecon_pipeline.domain.reasons import ReasonCode, counted
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.dsn import Endpoints
from orgrecon_pipeline.postgres.identity import DatabaseIdentity
from orgrecon_pipeline.postgres.locks.give_way import give_way
from orgrecon_pipeline.postgres.session import Session

# Keys in flux after a round of rechecks are tracked for another round.
_ROUNDS = 2

Progress = Callable[[str], None]
#: Called once with the identities of the databases, in the snapshot and before anything is compared. Refuses them by
#: raising an error.
Admit = Callable[[SnapshotPair], None]


def compare(
    mapping: MappingConfig, endpoints: Endpoints, *, exact: bool = False, only: RowFilter | None = None,
    admit: Admit = lambda snapshot: None, progress: Progress = lambda message: None,
    wait: Callable[[float], None] | None = None, deadline: Deadline | None = None,
    earlier: EarlierComparison | None = None,
) -> Comparison:
    """Compare both sides of every entity in one snapshot, then recheck the drifting keys.

    If a statement of another session waits too long for its locks, give way and start over (see docs/architecture.md).
    Raise CannotDecide if the comparison cannot be completed.

    Args:
        exact: compare every tenant by key, not only those whose fingerprints differ.
        only: the rows to compare; None for all. A comparison of some rows is not evidence.
        admit: see :data:`Admit`.
        progress: receives progress messages.
        wait: sleeps that many seconds between two reads; by default until the deadline is stopped.
        deadline: a deadline that the caller can stop; by default a new one.
        earlier: the last comparison, from which the progress predicts the time left.
    """
    started = time.monotonic()

    def attempt(until: Deadline) -> Comparison:
        reader = open_reader(mapping, endpoints, until, only)
        try:
            return _Run(mapping, reader, until, exact, progress, wait or until.sleep, earlier).run(admit)
        except CannotDecide as failure:
            raise name_cause(reader.sessions, mapping, failure) from None
        finally:
            reader.close()

    done = give_way(
        attempt, endpoints, mapping.scan, deadline or Deadline(mapping.scan.deadline_seconds), progress)
    comparison = done.result
    warnings = [lock_queue_warning(variable, problem) for variable, problem in done.unwatched.items()]
    return replace(comparison, how={
        **comparison.how, "seconds": round(time.monotonic() - started, 3),
        **({"gave_way": done.times} if done.times else {}), "warnings": [*comparison.how["warnings"], *warnings]})


def open_reader(
    mapping: MappingConfig, endpoints: Endpoints, deadline: Deadline, only: RowFilter | None = None
) -> Reader:
    """Connect to the databases."""
    source, target = (
        partial(Session, endpoint, mapping.scan, deadline) for endpoint in (endpoints.source, endpoints.target))
    if endpoints.one_database:
        return OneDatabase(mapping, source, new_row_hash(), only)
    return TwoDatabases(mapping, source, target, new_row_hash(), only)


def new_row_hash() -> RowHash:
    """Return the native row hash with a new seed."""
    return RowHash(native=True, seed=secrets.randbits(62))


class _Run:
    """One comparison on its way through the phases."""

    def __init__(self, mapping: MappingConfig, reader: Reader, deadline: Deadline, exact: bool, progress: Progress,
                 wait: Callable[[float], None], earlier: EarlierComparison | None) -> None:
        self._started, self._earlier = time.monotonic(), earlier
        self._expected: float | None = None
        self._mapping, self._reader, self._deadline, self._exact = mapping, reader, deadline, exact
        self._progress, self._wait = progress, wait
        self._keys = KeySpool(mapping.report.keep_keys)
        self._samples: list[Sample] = []

    def run(self, admit: Admit) -> Comparison:
        reader = self._reader
        tables = reader.run_preflight()
        reader.require_filter_values()
        if self._earlier or not self._exact:
            self._expected = predict_from_rows(reader.rows.expected, self._earlier, reader.row_hash.name)
        self._progress(f"preflight checks passed: {tables} {'table' if tables == 1 else 'tables'}")
        for warning in reader.warnings:
            self._progress(f"warning: {warning['text']}")
        with reader.snapshot() as snapshot:
            admit(snapshot)
            self._first_snapshot = self._last_snapshot = snapshot
            reader.require_unchanged()
            declared = reader.read_declared_tenants()
            reader.run_self_test(len(declared or ()))
            self._progress(self._scanned_rows())
            with periodic_progress(self._progress, self._scanned_rows):
                fingerprints = reader.read_fingerprints(len(declared or ()))
            self._first_rows = {name: of_entity.rows for name, of_entity in fingerprints.items()}
            probe = reader.read_probe()
            by_method = {reader.row_hash.name: fingerprints}
            if self._mapping.evidence.portable and reader.row_hash.native and not reader.only:
                with periodic_progress(self._progress, lambda: "computing the portable fingerprints"):
                    by_method["portable"] = reader.read_portable(len(declared or ()))
            first = self._find_drift(fingerprints)
            reader.require_unchanged()
            if not self._mapping.scan.rechecks:
                self._read_keys(first)
        confirmed, in_flux, reads = self._recheck(first)
        results = ReadResults(fingerprints, first, confirmed, in_flux)
        return Comparison(
            observed_at=snapshot.source.observed_at, databases=snapshot.as_json_value(),
            totals=results.totals(), present=results.present,
            declared=results.present if declared == results.present else declared,  # keeps one of two equal lists
            tenant_rows=results.tenant_rows(declared, self._mapping.report.breakdown_limit),
            samples=tuple(self._samples),
            keys=self._keys,
            values={name: of_entity.values for name, of_entity in fingerprints.items()},
            keys_in_flux=results.keys_in_flux,
            fingerprints=snapshot_fingerprints(reader.row_hash.seed, probe, results.present, by_method),
            how={"digest_method": reader.row_hash.name, "exact": self._exact, "self_test": "passed",
                 "rechecks_done": reads, "warnings": list(reader.warnings)})

    def _scanned_rows(self) -> str:
        return f"fingerprints of both sides: {self._reader.rows}{self._time_left()}"

    def _time_left(self) -> str:
        return time_left(self._expected, time.monotonic() - self._started)

    def _find_drift(self, fingerprints: dict[str, Fingerprints]) -> Drift:
        for name, of_entity in fingerprints.items():
            selected = len(of_entity.tenants if self._exact else of_entity.differing)
            self._progress(f"{name}: comparing {selected:,} of {len(of_entity.tenants):,} tenants by key")
        with periodic_progress(self._progress, lambda: f"comparing tenants by key{self._time_left()}"):
            return self._reader.find_drift(fingerprints, exact=self._exact)

    def _recheck(self, first: Drift) -> tuple[Drift, Drift, int]:
        """Return the confirmed keys, the keys in flux, and the number of reads.

        A key that is equal at any read is transient. A key that differs for a whole round, in which at least one side
        did not change, is confirmed. If both sides changed, the difference can be a lag or a loss: the key is in flux,
        and is tracked for another round.
        """
        scan, reads = self._mapping.scan, 0
        none: Drift = {name: {} for name in first}
        if not scan.rechecks:
            return first, none, reads
        confirmed, tracked = none, first
        for _ in range(_ROUNDS):
            for number in range(1, scan.rechecks + 1):
                if not any(tracked.values()):
                    return confirmed, tracked, reads
                self._progress(f"recheck {number} of {scan.rechecks} in {scan.settle_seconds:g} s")
                self._wait(min(scan.settle_seconds, self._deadline.remaining()))
                tracked = self._read_again(tracked, confirmed, last=number == scan.rechecks)
                reads += 1
            drifting, tracked = split_by_flux(tracked)
            confirmed = merge_drift(confirmed, drifting)
        return confirmed, tracked, reads

    def _read_again(self, tracked: Drift, confirmed: Drift, *, last: bool) -> Drift:
        with self._reader.snapshot() as snapshot:
            for side in SIDES:
                self._require_current(getattr(snapshot, side), getattr(self._first_snapshot, side))
            self._reader.require_unchanged()
            nothing_written = snapshot.shows_same_rows_as(self._last_snapshot)
            self._last_snapshot = snapshot
            if nothing_written and self._needs_no_read(tracked):
                drift = tracked
            else:
                drift = self._reader.recheck(tracked, confirmed)
            for name, tenants in tracked.items():
                if tenants.keys() - drift[name].keys():
                    self._require_not_emptied(name)
            if last:
                self._read_keys(split_by_flux(drift)[0])
            return drift

    def _needs_no_read(self, tracked: Drift) -> bool:
        """Return whether a recheck of the same rows would return the tracked keys as they are."""
        # A warning can be about SQL that depends on the time. Keys that are tracked anew in round two are not counted.
        return not (self._exact or self._reader.warnings or self._reader.opaque_functions) and all(
            keys.counts_are_known for tenants in tracked.values() for keys in tenants.values())

    def _require_current(self, identity: DatabaseIdentity, first: DatabaseIdentity) -> None:
        """Require that a replica shows what was written before the first read."""
        if identity.heartbeat and (lag := identity.heartbeat.lag(self._mapping.scan.max_replica_lag_seconds)):
            raise CannotDecide(lag, ReasonCode.REPLICA_LAG)
        standby = identity.standby
        if standby and not standby.shows(first.observed_at):
            problem = "has not replayed all that it received" if standby.pending else "no longer receives WAL"
            raise CannotDecide(
                f"the standby {problem} since the first read, so drift may have been corrected in the meantime: run "
                "the report again, or read the primary", ReasonCode.REPLICA_LAG)

    def _require_not_emptied(self, name: str) -> None:
        # Drift also ends when a side loses all its rows. The tracked keys are gone then, but other keys are missing.
        for side in SIDES:
            if getattr(self._first_rows[name], side) and not self._reader.has_rows(name, side):
                raise CannotDecide(f"{name}: the {side} lost every row during the comparison: run the report again",
                                   ReasonCode.TABLE_CHANGED)

    def _read_keys(self, drift: Drift) -> None:
        """Keep the confirmed keys, and choose samples of them."""
        report = self._mapping.report
        first_keys = {
            name: FirstKeysByKind(tenants, report.sample_keys, self._mapping.entities[name].key)
            for name, tenants in drift.items()}
        # If not all keys can be kept, an entity with many must not displace one with few.
        for name in sorted(drift, key=lambda name: count_keys(drift[name])):
            if not (expected := count_keys(drift[name])):
                continue
            self._progress(f"{name}: reading {counted(expected, 'drifting key')}")
            before = self._keys.drifting[name]
            read = self._reader.read_keys(name, drift[name])
            while keys := list(islice(read, CHUNK)):
                self._keys.add([key for _, _, key in keys])
                first_keys[name].add(keys)
            # SQL that is not deterministic can hide a key again. It is then left out, but counted.
            self._keys.drifting[name] = before + expected
        for name, of_entity in first_keys.items():
            sampled = of_entity.samples()
            if report.sample_values:
                sampled = self._reader.with_values(name, sampled)
            self._samples += self._reader.with_context(name, sampled)
