"""What one complete comparison found."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from heapq import merge
from itertools import groupby, islice
from typing import Any

from orgrecon_pipeline.compare.keys.tracked_keys import Drift, TrackedKeys
from orgrecon_pipeline.compare.scan.fingerprints import Fingerprints
from orgrecon_pipeline.domain.bounded_names import bounded_name
from orgrecon_pipeline.domain.evidence import KINDS, EntityTotals, Sample, TenantRow
from orgrecon_pipeline.domain.tenant_names import TenantNames
from orgrecon_pipeline.postgres.session import DatabaseIdentity

_CLEAN = TrackedKeys.first_seen(dict.fromkeys(KINDS, 0))


@dataclass(frozen=True)
class SnapshotPair:
    """Whose snapshots are compared: the same one twice where one database holds both sides."""

    source: DatabaseIdentity
    target: DatabaseIdentity

    def as_json_value(self) -> dict[str, Any]:
        """What the record says of both."""
        return {"source": self.source.as_json_value(), "target": self.target.as_json_value()}


@dataclass(frozen=True)
class Comparison:
    """What one complete comparison found.

    ``observed_at`` is the source's clock at the snapshot, ``databases`` what the record says of whose snapshots were
    compared. ``present`` are the tenants with a row on either side, ``declared`` those of the declared universe (None
    without one). ``tenant_rows`` holds every drifting tenant and the first clean ones, one row per tenant and entity.
    ``values`` counts, per compared column, the rows of both sides in which it is not NULL. ``unsettled_keys`` differed
    at every read while both their sides were being written: neither drift nor transient. ``shards`` holds what was
    found in each of several, and is empty for a single one.
    """

    observed_at: datetime
    databases: dict[str, Any]
    totals: dict[str, EntityTotals]
    present: TenantNames
    declared: TenantNames | None
    tenant_rows: tuple[TenantRow, ...]
    samples: tuple[Sample, ...]
    values: dict[str, dict[str, int]]
    unsettled_keys: int
    how: dict[str, Any]
    shards: dict[str, Comparison] = field(default_factory=dict)

    @property
    def tenants_scanned(self) -> int:
        """The declared universe together with every tenant that has a row."""
        return len(self.present) + len(self.absent)

    @cached_property
    def absent(self) -> TenantNames:
        """The tenants of the declared universe without a row on either side."""
        return TenantNames() if self.declared is None else self.declared.without(self.present)

    @property
    def tenants_with_drift(self) -> int:
        """Tenants with at least one drifting key."""
        return len({row.tenant for row in self.tenant_rows if row.drift})

    def as_json_value(self) -> dict[str, Any]:
        """All of it as JSON values; of one database."""
        return {
            "observed_at": self.observed_at.isoformat(),
            "databases": self.databases,
            "totals": {name: totals.model_dump() for name, totals in self.totals.items()},
            "present": list(self.present),
            "declared": None if self.declared is None else list(self.declared),
            "tenant_rows": [row.model_dump() for row in self.tenant_rows],
            "samples": [sample.model_dump(mode="json") for sample in self.samples],
            "values": self.values,
            "unsettled_keys": self.unsettled_keys,
            "how": self.how,
        }

    @classmethod
    def from_json_value(cls, value: dict[str, Any]) -> Comparison:
        """The comparison that :meth:`as_json_value` wrote."""
        return cls(**{
            **value,
            "observed_at": datetime.fromisoformat(value["observed_at"]),
            "totals": {name: EntityTotals(**totals) for name, totals in value["totals"].items()},
            "present": TenantNames.ascending(value["present"]),
            "declared": None if value["declared"] is None else TenantNames.ascending(value["declared"]),
            "tenant_rows": tuple(TenantRow(**row) for row in value["tenant_rows"]),
            "samples": tuple(Sample.model_validate_json(json.dumps(sample)) for sample in value["samples"]),
        })


@dataclass(frozen=True)
class ReadResults:
    """What the reads of a comparison found: the first one, what of it is left, and what never settled."""

    prints: dict[str, Fingerprints]
    first: Drift
    left: Drift
    unsettled: Drift

    @cached_property
    def present(self) -> TenantNames:
        """The tenants with a row on either side."""
        first, *others = (prints.tenants for prints in self.prints.values())
        return first.union(*others)

    @property
    def unsettled_keys(self) -> int:
        """How many keys never settled."""
        return sum(len(d.keys) for found in self.unsettled.values() for d in found.values())

    def totals(self) -> dict[str, EntityTotals]:
        """Rows and drift by entity, over all tenants."""
        return {name: self._totals_of(name) for name in self.prints}

    def tenant_rows(self, declared: TenantNames | None, limit: int) -> tuple[TenantRow, ...]:
        """Every tenant that drifted at the first read, and the first ``limit`` others that are there or declared."""
        seen = {tenant for found in self.first.values() for tenant in found}
        others = (tenant for tenant, _ in groupby(merge(self.present, declared or ())) if tenant not in seen)
        listed = [*sorted(seen), *islice(others, limit)]
        return tuple(self._tenant_row(tenant, name) for tenant in listed for name in self.prints)

    def _totals_of(self, name: str) -> EntityTotals:
        counts = {kind: sum(drifting.counts[kind] for drifting in self.left[name].values()) for kind in KINDS}
        first, left, unsettled = (
            sum(len(drifting.keys) for drifting in found[name].values())
            for found in (self.first, self.left, self.unsettled))
        rows = self.prints[name].rows
        return EntityTotals(
            source_rows=rows.source, target_rows=rows.target, transient=first - left - unsettled, **counts)

    def _tenant_row(self, tenant: str, name: str) -> TenantRow:
        first, left, unsettled = (
            found[name].get(tenant, _CLEAN) for found in (self.first, self.left, self.unsettled))
        rows = self.prints[name].rows_of(tenant)
        return TenantRow(
            tenant=bounded_name(tenant), entity=name, source_rows=rows.source, target_rows=rows.target,
            transient=len(first.keys) - len(left.keys) - len(unsettled.keys), **left.counts,
        )
