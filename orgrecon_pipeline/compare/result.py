"""Result of a comparison."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from heapq import merge
from itertools import groupby, islice
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PlainSerializer, PlainValidator, TypeAdapter

from orgrecon_pipeline.compare.keys.key_spool import KeySpool
from orgrecon_pipeline.compare.keys.tracked_keys import Drift, TrackedKeys, count_keys
from orgrecon_pipeline.compare.scan.evidence import fingerprints_from_json, fingerprints_to_json
from orgrecon_pipeline.compare.scan.fingerprints import Fingerprints
from orgrecon_pipeline.domain.canonical import bounded_name
from orgrecon_pipeline.domain.databases import UNSHARDED
from orgrecon_pipeline.domain.drift.kinds import Counts
from orgrecon_pipeline.domain.evidence import EntityTotals, Sample, TenantRow
from orgrecon_pipeline.domain.facts.compared import ComparedFacts, Shard
from orgrecon_pipeline.domain.facts.described import Described
from orgrecon_pipeline.domain.integrity.snapshot_fingerprints import SnapshotFingerprints
from orgrecon_pipeline.domain.mapping.model import SIDES
from orgrecon_pipeline.domain.tenant_names import TenantNames
from orgrecon_pipeline.postgres.identity import DatabaseIdentity
from orgrecon_pipeline.postgres.int8_arrays import int8_array

_JsonNames = Annotated[TenantNames, PlainValidator(TenantNames.ascending), PlainSerializer(list)]
_JsonKeys = Annotated[KeySpool, PlainValidator(KeySpool.of), PlainSerializer(list)]
if TYPE_CHECKING:
    _JsonFingerprints = SnapshotFingerprints
else:  # pydantic cannot evaluate the types of its fields
    _JsonFingerprints = Annotated[
        Any, PlainValidator(fingerprints_from_json), PlainSerializer(fingerprints_to_json)]
_NO_KEYS = TrackedKeys.start(Counts.zero(), *[int8_array(())] * 3)


@dataclass(frozen=True)
class SnapshotPair:
    """Identities of the snapshots of both sides: the same object twice if one database holds both sides."""

    source: DatabaseIdentity
    target: DatabaseIdentity

    def shows_same_rows_as(self, earlier: SnapshotPair) -> bool:
        """Return whether no transaction has committed a row on either side between both pairs."""
        return all(getattr(self, side).shows_same_rows_as(getattr(earlier, side)) for side in SIDES)

    def as_json_value(self) -> dict[str, Any]:
        """Return what the record stores."""
        return {"source": self.source.as_json_value(), "target": self.target.as_json_value()}


@dataclass(frozen=True)
class Comparison:
    """Result of one complete comparison; ``databases`` and ``how`` are stored in the record as they are.

    Attributes:
        observed_at: the source's clock at the snapshot.
        present: tenants with a row on either side.
        declared: tenants of the declared universe; None if the mapping has none.
        tenant_rows: every drifting tenant and the first clean ones, with one row per tenant and entity.
        samples: the first drifting keys of each kind.
        keys: all drifting keys.
        values: rows of both sides in which a compared column is not NULL, by entity and column.
        keys_in_flux: keys that differed at every read while both of their sides changed. They are neither drift nor
            transient.
        fingerprints: the fingerprints of the first read; None for a comparison of several shards.
        shards: the comparisons of the shards; empty without shards.
    """

    observed_at: datetime
    databases: Annotated[dict[str, Any], Described(Shard)]
    totals: dict[str, EntityTotals]
    present: _JsonNames
    declared: _JsonNames | None
    tenant_rows: tuple[TenantRow, ...]
    samples: tuple[Sample, ...]
    keys: _JsonKeys
    values: dict[str, dict[str, int]]
    keys_in_flux: int
    how: ComparedFacts
    fingerprints: _JsonFingerprints | None = None
    shards: dict[str, Comparison] = field(default_factory=dict)

    @property
    def tenants_scanned(self) -> int:
        """Number of tenants that are declared or have a row."""
        return len(self.present) + len(self.absent)

    @cached_property
    def absent(self) -> TenantNames:
        """Declared tenants without a row on either side."""
        return TenantNames() if self.declared is None else self.declared.without(self.present)

    @property
    def tenants_with_drift(self) -> int:
        """Number of tenants with at least one drifting key."""
        return len({row.tenant for row in self.tenant_rows if row.drift})

    @property
    def described(self) -> dict[str, Any]:
        """The databases, with what the record stores about their fingerprints."""
        return self.databases | ({"fingerprints": self.fingerprints.facts()} if self.fingerprints else {})

    @property
    def fingerprints_by_shard(self) -> dict[str, SnapshotFingerprints]:
        """The fingerprints of each shard, or of :data:`UNSHARDED`."""
        parts = self.shards or {UNSHARDED: self}
        return {name: part.fingerprints for name, part in parts.items() if part.fingerprints}

    def as_json_value(self) -> dict[str, Any]:
        """Return the comparison, which must not have shards and must keep all its keys, as JSON values."""
        value: dict[str, Any] = TypeAdapter(Comparison).dump_python(self, mode="json", exclude={"shards"})
        return value

    @classmethod
    def from_json(cls, text: str) -> Comparison:
        """Return the comparison whose :meth:`as_json_value` has this JSON text."""
        return TypeAdapter(cls).validate_json(text)


@dataclass(frozen=True)
class ReadResults:
    """Results of the reads of a comparison: the fingerprints by entity, and drift by entity and tenant.

    ``first`` are the keys that drifted at the first read, ``confirmed`` those that still drift after the rechecks, and
    ``in_flux`` those that still differ, but both of whose sides changed.
    """

    fingerprints: dict[str, Fingerprints]
    first: Drift
    confirmed: Drift
    in_flux: Drift

    @cached_property
    def present(self) -> TenantNames:
        """Tenants with a row on either side."""
        first, *others = (fingerprints.tenants for fingerprints in self.fingerprints.values())
        return first.union(*others)

    @property
    def keys_in_flux(self) -> int:
        """Number of keys in flux."""
        return sum(map(count_keys, self.in_flux.values()))

    def totals(self) -> dict[str, EntityTotals]:
        """Return rows and drift by entity."""
        totals = {}
        for name, of_entity in self.fingerprints.items():
            transient = sum(self._transient(name, tenant) for tenant in self.first[name])
            counts = Counts.sum(tracked.counts for tracked in self.confirmed[name].values())
            totals[name] = EntityTotals(
                source_rows=of_entity.rows.source, target_rows=of_entity.rows.target, transient=transient, **counts)
        return totals

    def tenant_rows(self, declared: TenantNames | None, limit: int) -> tuple[TenantRow, ...]:
        """Return the rows of all tenants that drifted at the first read, and of the first ``limit`` other tenants."""
        drifting = {tenant for tenants in self.first.values() for tenant in tenants}
        others = (tenant for tenant, _ in groupby(merge(self.present, declared or ())) if tenant not in drifting)
        listed = [*sorted(drifting), *islice(others, limit)]
        return tuple(self._tenant_row(tenant, name) for tenant in listed for name in self.fingerprints)

    def _tenant_row(self, tenant: str, name: str) -> TenantRow:
        rows = self.fingerprints[name].rows_of(tenant)
        confirmed = self.confirmed[name].get(tenant, _NO_KEYS)
        return TenantRow(
            tenant=bounded_name(tenant), entity=name, source_rows=rows.source, target_rows=rows.target,
            transient=self._transient(name, tenant), **confirmed.counts)

    def _transient(self, name: str, tenant: str) -> int:
        first, confirmed, in_flux = (
            len(drift[name].get(tenant, _NO_KEYS).keys) for drift in (self.first, self.confirmed, self.in_flux))
        # A key that can be written differently may have become any of several keys, see Reader.recheck.
        return max(0, first - confirmed - in_flux)
