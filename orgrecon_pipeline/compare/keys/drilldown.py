"""Drill-down by key within one database: drifting keys by kind, and samples of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from orgrecon_pipeline.compare.keys.tracked_keys import IN_FLUX, TrackedKeys
from orgrecon_pipeline.compare.queries.statements import EntityStatements
from orgrecon_pipeline.domain.canonical import bounded_name
from orgrecon_pipeline.domain.drift_kinds import Counts, DriftKind
from orgrecon_pipeline.domain.evidence import Sample
from orgrecon_pipeline.postgres.int8_arrays import concatenate, decode_int8
from orgrecon_pipeline.postgres.session import Session

#: Values of source and target, by differing column.
Differing = dict[str, tuple[str | None, str | None]]

@dataclass(frozen=True)
class SampledKey:
    """Sample of a key, with the full name of its tenant and the hash of the key."""

    tenant: str
    key_hash: int
    sample: Sample


_ARRAYS = ("keys", "source_states", "target_states", "source_now", "target_now", "changed")


def drill_down(
    session: Session, statements: EntityStatements, tenants: Iterable[str],
    tracked: dict[str, TrackedKeys] | None = None,
) -> dict[str, TrackedKeys]:
    """Return the drift of the given tenants, restricted to the ``tracked`` keys if given; omit tenants without drift.

    If keys are respellable, untracked keys are returned too, as in flux.
    """
    statement = statements.drift("drift_counts.sql", first_read=tracked is None)
    untracked = 0 if tracked is None else IN_FLUX if statements.respellable_keys else None
    rows = session.query(statement, statements.name, _parameters(tenants, tracked, untracked))
    return {row["tenant"]: TrackedKeys(Counts.of(row), *(decode_int8(row[name]) for name in _ARRAYS)) for row in rows}


def read_samples(
    session: Session, statements: EntityStatements, drift: dict[str, TrackedKeys], limit: int, *, with_values: bool
) -> list[SampledKey]:
    """Return up to ``limit`` of the given keys of each kind, ordered by tenant and key."""
    if not drift or not limit:
        return []
    statement = statements.drift("drift_samples.sql", first_read=False)
    rows = session.query(statement, statements.name, {**_parameters(drift, drift, None), "limit": limit})
    mismatched = [row["key_hash"] for row in rows if row["kind"] == DriftKind.MISMATCHED]
    differing = _differing_columns(session, statements, sorted(drift), mismatched)
    return [
        SampledKey(row["tenant"], row["key_hash"], make_sample(
            statements, row["tenant"], row["kind"], row["key"], differing.get(row["key_hash"], {}),
            with_values=with_values))
        for row in rows]


def make_sample(
    statements: EntityStatements, tenant: str, kind: str, key: Sequence[str], differing: Differing, *, with_values: bool
) -> Sample:
    """Return the sample of one key, given as text. ``differing`` is used for a mismatched key only."""
    entity, mismatched = statements.entity, kind == DriftKind.MISMATCHED
    values = differing if mismatched else {}
    return Sample(
        tenant=bounded_name(tenant), entity=statements.name, kind=kind,
        key={name: bounded_name(text) for name, text in zip(entity.key, key, strict=True)},
        # Each column alone can agree if only the combinations differ between several copies.
        columns=tuple(sorted(values)) or (entity.compare if mismatched else ()),
        values=values if with_values and values else None,
    )


def _parameters(
    tenants: Iterable[str], tracked: dict[str, TrackedKeys] | None, untracked: int | None
) -> dict[str, Any]:
    """Return the parameters of ``drift.sql``. ``untracked`` says how untracked keys are returned; None if they are not.
    """
    tenants = sorted(tenants)
    earlier = [tracked[tenant] for tenant in tenants if tenant in tracked] if tracked is not None else []
    return {
        "tenants": tenants,
        "untracked": untracked,
        "tracked_keys": concatenate(tenant_keys.keys for tenant_keys in earlier),
        "source_states": concatenate(tenant_keys.source_states for tenant_keys in earlier),
        "target_states": concatenate(tenant_keys.target_states for tenant_keys in earlier),
        "changed": concatenate(tenant_keys.changed for tenant_keys in earlier),
    }


def _differing_columns(
    session: Session, statements: EntityStatements, tenants: list[str], keys: list[int]
) -> dict[int, Differing]:
    """Return the values of the differing columns by key hash."""
    differing: dict[int, Differing] = {}
    if keys and statements.entity.compare:
        parameters = {"tenants": tenants, "keys": keys}
        for row in session.query(statements.differing_columns(), statements.name, parameters):
            values = (_bounded(row["source_value"]), _bounded(row["target_value"]))
            differing.setdefault(row["key_hash"], {})[row["column_name"]] = values
    return differing


def _bounded(text: str | None) -> str | None:
    return None if text is None else bounded_name(text)
