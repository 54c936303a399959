"""One comparison of one database, from preflight to the last recheck."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.evidence import KINDS, EntityTotals, Sample, TenantRow
from orgrecon_pipeline.domain.mapping import Mapping
from orgrecon_pipeline.domain.text import bounded
from orgrecon_pipeline.source.drilldown import Drift, Drifting, drill_down, merged, read_samples, split
from orgrecon_pipeline.source.dsn import Dsn
from orgrecon_pipeline.source.fingerprint import Fingerprints, SideRows, fingerprint
from orgrecon_pipeline.source.preflight import examine, tenants_statement, unchanged
from orgrecon_pipeline.source.self_test import prove_eyes
from orgrecon_pipeline.source.session import Deadline, Identity, Session
from orgrecon_pipeline.source.statements import Digest, EntityStatements

# hash_record_extended came with PostgreSQL 14.
_NATIVE_DIGEST_SINCE = 140_000

_NONE = SideRows(0, 0)
_CLEAN = Drifting(dict.fromkeys(KINDS, 0), [], [], [], [], [], [])
# How often `rechecks` reads are made at most: keys that both sides were writing are watched for a second round.
_ROUNDS = 2

Progress = Callable[[str], None]
#: Called once with the identity of the database, inside the snapshot and before anything is compared; whoever calls
#: may refuse it by raising.
Admit = Callable[[Identity], None]


@dataclass(frozen=True)
class Comparison:
    """What one complete comparison found.

    ``present`` are the tenants with a row on either side, ``declared`` those of the declared universe (None without
    one). ``tenant_rows`` holds every drifting tenant and the first clean ones, one row per tenant and entity.
    ``values`` counts, per compared column, the rows of both sides in which it is not NULL. ``unsettled_keys`` differed
    at every read while both their sides were being written: neither drift nor transient.
    """

    identity: Identity
    totals: dict[str, EntityTotals]
    present: frozenset[str]
    declared: frozenset[str] | None
    tenant_rows: tuple[TenantRow, ...]
    samples: tuple[Sample, ...]
    values: dict[str, dict[str, int]]
    unsettled_keys: int
    how: dict[str, Any]

    @property
    def observed_at(self) -> datetime:
        """The server's clock at the snapshot."""
        return self.identity.observed_at

    @property
    def tenants_scanned(self) -> int:
        """The declared universe together with every tenant that has a row."""
        return len(self.present | (self.declared or frozenset()))

    @property
    def tenants_with_drift(self) -> int:
        """Tenants with at least one drifting key."""
        return len({row.tenant for row in self.tenant_rows if row.drift})


def compare(
    mapping: Mapping,
    dsn: Dsn,
    variable: str,
    *,
    exact: bool = False,
    admit: Admit = lambda identity: None,
    progress: Progress = lambda line: None,
    wait: Callable[[float], None] = time.sleep,
) -> Comparison:
    """Compare both sides of every entity in one snapshot, then read drifting keys again.

    Args:
        mapping: what is compared, and how.
        dsn: the database.
        variable: the environment variable that the DSN came from, for messages.
        exact: compare every tenant by key, not only those whose fingerprints differ.
        admit: see :data:`Admit`.
        progress: takes a line for people now and then.
        wait: sleeps for a number of seconds between two reads.

    Raises:
        CannotDecide: whenever the comparison could not be completed.
    """
    started = time.monotonic()
    deadline = Deadline(mapping.scan.deadline_seconds)
    session = Session(dsn, variable, mapping.scan, deadline)
    try:
        return _Comparing(mapping, session, deadline, exact, progress, wait).run(admit, started)
    finally:
        session.close()


def choose_digest(identity: Identity) -> Digest:
    """The server's own hash where it has one for rows, else the portable one; with a new seed."""
    return Digest(native=identity.server_version_num >= _NATIVE_DIGEST_SINCE, seed=secrets.randbits(62))


class _Comparing:
    """The state of one comparison on its way through the phases."""

    def __init__(self, mapping: Mapping, session: Session, deadline: Deadline, exact: bool, progress: Progress,
                 wait: Callable[[float], None]) -> None:
        self.mapping, self.session, self.deadline, self.exact = mapping, session, deadline, exact
        self.progress, self.wait = progress, wait
        self.samples: list[Sample] = []

    def run(self, admit: Admit, started: float) -> Comparison:
        self.examined = examine(self.session, self.mapping)
        self.progress(f"examined: {len(self.examined.tables)} tables, all there and readable")
        self.digest = choose_digest(self.examined.identity)
        self.statements = {
            name: EntityStatements(name, entity, self.examined.types[name], self.digest)
            for name, entity in self.mapping.entities.items()
        }
        with self.session.transaction(self.examined.lockable):
            identity = self.session.identify()
            self._same_place(identity)
            admit(identity)
            self.first_read_at = identity.observed_at
            unchanged(self.session, self.mapping, self.examined)
            prove_eyes(self.session, self.digest)
            declared = self._declared()
            prints = {name: self._fingerprint(name) for name in self.statements}
            first = {name: self._first_read(name, prints[name]) for name in self.statements}
            rows = {name: self._rows_of(name, prints, first) for name in self.statements}
            unchanged(self.session, self.mapping, self.examined)
            if not self.mapping.scan.rechecks:
                self._read_samples(first)
        left, unsettled, reads = self._recheck(first, prints)
        present = frozenset().union(*(p.tenants for p in prints.values()))
        return Comparison(
            identity=identity,
            totals={name: _totals(prints[name], first[name], left[name], unsettled[name]) for name in self.statements},
            present=present,
            declared=declared,
            tenant_rows=self._tenant_rows(present | (declared or frozenset()), rows, first, left, unsettled),
            samples=tuple(self.samples),
            values={name: p.values for name, p in prints.items()},
            unsettled_keys=sum(len(d.keys) for found in unsettled.values() for d in found.values()),
            how={
                "digest_method": self.digest.name,
                "exact": self.exact,
                "self_test": "passed",
                "rechecks_done": reads,
                "seconds": round(time.monotonic() - started, 3),
            },
        )

    def _same_place(self, identity: Identity) -> None:
        # A pooler or balancer can lead each transaction to another server.
        if identity.place != self.examined.identity.place:
            raise CannotDecide(
                "the connection led to another database or server in mid-run, or that was restarted: use one without a "
                "balancer, or run it again")

    def _declared(self) -> frozenset[str] | None:
        if self.mapping.tenants is None:
            return None
        rows = self.session.query(tenants_statement(self.mapping.tenants), "tenants")
        if any(row["tenant"] is None for row in rows):
            raise CannotDecide("tenants: the declared universe holds a NULL tenant: exclude it in the mapping")
        return frozenset(row["tenant"] for row in rows)

    def _fingerprint(self, name: str) -> Fingerprints:
        self.progress(f"{name}: fingerprints of both sides")
        prints = fingerprint(self.session, self.statements[name], self.mapping.report.breakdown_limit)
        for side in ("source", "target"):
            without = getattr(prints.null_keys, side)
            if without:
                raise CannotDecide(
                    f"{name}.{side}: {without} rows have no tenant or a NULL in the key: they cannot be compared"
                )
        return prints

    def _first_read(self, name: str, prints: Fingerprints) -> dict[str, Drifting]:
        tenants = dict(prints.differing)
        if self.exact:
            # Counts only size the batches; of clean tenants beyond the listed ones they are not known.
            tenants = {tenant: prints.differing.get(tenant, _NONE) for tenant in prints.tenants}
        self.progress(f"{name}: {len(tenants)} of {len(prints.tenants)} tenants compared by key")
        return drill_down(self.session, self.statements[name], tenants)

    def _rows_of(self, name: str, prints: dict[str, Fingerprints],
                 first: dict[str, dict[str, Drifting]]) -> dict[str, SideRows]:
        """Rows of an entity for every tenant that is listed: those that drift anywhere, and the first clean ones."""
        known = {**prints[name].clean, **prints[name].differing}
        drifting = {tenant for found in first.values() for tenant in found}
        unknown = sorted((drifting & prints[name].tenants) - known.keys())
        if unknown:
            counted = self.session.query(self.statements[name].tenant_rows(), name, {"tenants": unknown})
            known.update({r["tenant"]: SideRows(r["source_rows"], r["target_rows"]) for r in counted})
        return known

    def _recheck(self, first: Drift, prints: dict[str, Fingerprints]) -> tuple[Drift, Drift, int]:
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
                watched = self._read_again(watched, prints, last=number == scan.rechecks)
                reads += 1
            drifting, watched = split(watched)
            left = merged(left, drifting)
        return left, watched, reads

    def _read_again(self, watched: Drift, prints: dict[str, Fingerprints], *, last: bool) -> Drift:
        with self.session.transaction(self.examined.lockable):
            identity = self.session.identify()
            self._same_place(identity)
            if identity.standby and not identity.standby.shows(self.first_read_at):
                raise CannotDecide(
                    "the standby has not replayed what it received since the first read: what differed then may have "
                    "been put right, run it again or read the primary"
                )
            unchanged(self.session, self.mapping, self.examined)
            found = {
                name: drill_down(
                    self.session, self.statements[name], {t: prints[name].differing.get(t, _NONE) for t in tenants},
                    tenants,
                )
                for name, tenants in watched.items()
            }
            if last:
                self._read_samples(split(found)[0])
            return found

    def _read_samples(self, drifting: Drift) -> None:
        shown = self.mapping.report
        for name, found in drifting.items():
            self.samples += read_samples(
                self.session, self.statements[name], found, shown.sample_keys, with_values=shown.sample_values
            )

    def _tenant_rows(
        self, tenants: frozenset[str], rows: dict[str, dict[str, SideRows]],
        first: Drift, left: Drift, unsettled: Drift,
    ) -> tuple[TenantRow, ...]:
        seen = {tenant for found in first.values() for tenant in found}
        listed = sorted(seen) + sorted(tenants - seen)[: self.mapping.report.breakdown_limit]
        return tuple(
            TenantRow(
                tenant=bounded(tenant), entity=name,
                source_rows=rows[name].get(tenant, _NONE).source, target_rows=rows[name].get(tenant, _NONE).target,
                transient=len(first[name].get(tenant, _CLEAN).keys) - sum(
                    len(known[name].get(tenant, _CLEAN).keys) for known in (left, unsettled)),
                **left[name].get(tenant, _CLEAN).counts,
            )
            for tenant in listed
            for name in self.statements
        )


def _totals(
    prints: Fingerprints, first: dict[str, Drifting], left: dict[str, Drifting], unsettled: dict[str, Drifting]
) -> EntityTotals:
    counts = {kind: sum(drifting.counts[kind] for drifting in left.values()) for kind in KINDS}
    keys_first, keys_left, keys_unsettled = (
        sum(len(drifting.keys) for drifting in found.values()) for found in (first, left, unsettled))
    return EntityTotals(
        source_rows=prints.rows.source, target_rows=prints.rows.target,
        transient=keys_first - keys_left - keys_unsettled, **counts
    )
