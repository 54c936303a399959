"""Merging of the shards' comparisons into one comparison of all tenants."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter

from orgrecon_pipeline.compare.inspection import merge_warnings
from orgrecon_pipeline.compare.keys.key_spool import KeySpool
from orgrecon_pipeline.compare.result import Comparison
from orgrecon_pipeline.domain.canonical import bounded_name
from orgrecon_pipeline.domain.databases import by_shard
from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.evidence import EntityTotals, Sample, TenantRow
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.domain.tenant_names import TenantNames


def merge_shards(
    mapping: MappingConfig, comparisons: dict[str, Comparison], reused_from: dict[str, str], seconds: float
) -> Comparison:
    """Return the comparison of all shards, from the comparison of each shard by its name.

    ``reused_from`` has the id of the earlier observation of each shard that was not compared again. The whole
    comparison took ``seconds``.
    """
    parts = [comparisons[name] for name in sorted(comparisons)]
    databases = {
        name: {**part.described, "seconds": part.how["seconds"], "tenants": len(part.present),
               **({"reused_from": reused_from[name]} if name in reused_from else {})}
        for name, part in comparisons.items()
    }
    declared = [part.declared for part in parts if part.declared is not None]
    return Comparison(
        observed_at=min(part.observed_at for part in parts),
        databases=by_shard(databases),
        totals={name: EntityTotals.sum([part.totals[name] for part in parts]) for name in mapping.entities},
        present=TenantNames().union(*(part.present for part in parts)),
        declared=TenantNames().union(*declared) if declared else None,
        tenant_rows=_tenant_rows(comparisons, mapping.report.breakdown_limit),
        samples=_first_samples([sample for part in parts for sample in part.samples], mapping.report.sample_keys),
        keys=KeySpool.merged((part.keys for part in parts), mapping.report.keep_keys),
        values={
            name: {column: sum(part.values[name][column] for part in parts) for column in parts[0].values[name]}
            for name in mapping.entities
        },
        keys_in_flux=sum(part.keys_in_flux for part in parts),
        how={
            **parts[0].how,
            "digest_method": " and ".join(sorted({part.how["digest_method"] for part in parts})),
            "rechecks_done": max(part.how["rechecks_done"] for part in parts),
            "seconds": round(seconds, 3),
            **({"gave_way": times} if (times := sum(part.how.get("gave_way", 0) for part in parts)) else {}),
            "warnings": list(merge_warnings({
                name: part.how.get("warnings", ()) for name, part in sorted(comparisons.items())})),
        },
        shards=comparisons)


def refuse_shared_tenants(comparisons: dict[str, Comparison]) -> None:
    """Raise :class:`ConfigurationError` if a tenant has rows in two shards."""
    for tenant, first, second in _shared_tenants(comparisons):
        raise ConfigurationError(
            f"tenant {tenant!a} has rows in shard {first} and in shard {second}, but a tenant must be in one shard: "
            "correct the shards of the mapping, or its where.")


def shards_with_shared_tenants(comparisons: dict[str, Comparison]) -> set[str]:
    """Return the names of the shards that share a tenant with another shard."""
    return {shard for _, *shards in _shared_tenants(comparisons) for shard in shards}


def _shared_tenants(comparisons: dict[str, Comparison]) -> Iterator[tuple[str, str, str]]:
    """Yield ``(tenant, earlier shard, shard)`` once for each shard that shares a tenant with one before it."""
    shard_of: dict[str, str] = {}
    for name, part in sorted(comparisons.items()):
        shared = next((tenant for tenant in part.present if tenant in shard_of), None)
        if shared is not None:
            yield shared, shard_of[shared], name
        shard_of.update(dict.fromkeys(part.present, name))


def _tenant_rows(comparisons: dict[str, Comparison], limit: int) -> tuple[TenantRow, ...]:
    """Return the rows of all tenants with drift or transients, then those of the first ``limit`` other tenants."""
    # Every shard may declare every tenant, and then lists the tenants of other shards too, with no rows.
    listed = {row.tenant for part in comparisons.values() for row in part.tenant_rows}
    shard_of = {tenant: name for name, part in comparisons.items()
                for tenant in map(bounded_name, part.present) if tenant in listed}
    rows_of: dict[str, list[TenantRow]] = {}
    for name, part in sorted(comparisons.items()):
        for row in part.tenant_rows:
            if shard_of.setdefault(row.tenant, name) == name:
                rows_of.setdefault(row.tenant, []).append(row)
    differing = sorted(tenant for tenant, rows in rows_of.items() if any(row.drift or row.transient for row in rows))
    clean = sorted(rows_of.keys() - set(differing))[:limit]
    return tuple(row for tenant in (*differing, *clean) for row in rows_of[tenant])


def _first_samples(samples: list[Sample], limit: int) -> tuple[Sample, ...]:
    """Return the first ``limit`` samples of each entity and kind."""
    entity_and_kind = attrgetter("entity", "kind")
    groups = groupby(sorted(samples, key=entity_and_kind), key=entity_and_kind)
    chosen = [sample for _, group in groups for sample in list(group)[:limit]]
    return tuple(sorted(chosen, key=lambda s: (s.entity, s.tenant, list(s.key.values()), s.kind)))
