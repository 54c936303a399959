"""The exact pass: every drifting key of the tenants that differ, counted by kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from orgrecon_pipeline.compare.keys.samples import Differing, sample_of
from orgrecon_pipeline.compare.keys.tracked_keys import TrackedKeys
from orgrecon_pipeline.compare.statements import EntityStatements
from orgrecon_pipeline.domain.bounded_names import bounded_name
from orgrecon_pipeline.domain.evidence import KINDS, Sample
from orgrecon_pipeline.postgres.int8_arrays import together, unpack_int8
from orgrecon_pipeline.postgres.session import Session


def drill_down(
    session: Session,
    statements: EntityStatements,
    tenants: Iterable[str],
    seen: dict[str, TrackedKeys] | None = None,
) -> dict[str, TrackedKeys]:
    """Drift of the given tenants by tenant; tenants without any are left out.

    Args:
        session: a session with an open transaction.
        statements: the entity's.
        tenants: which.
        seen: what an earlier read found; when given, only those keys count.

    Raises:
        CannotDecide: when reading fails.
    """
    statement = statements.drift("drift_counts.sql", first_read=seen is None)
    return {
        row["tenant"]: TrackedKeys(
            {kind: row[kind] or 0 for kind in KINDS},
            *(unpack_int8(row[name]) for name in (
                "keys", "source_states", "target_states", "sources_now", "targets_now", "changed")),
        )
        for row in session.query(statement, statements.name, parameters(tenants, seen))
    }


def read_samples(
    session: Session, statements: EntityStatements, drifting: dict[str, TrackedKeys], limit: int, *, with_values: bool
) -> list[Sample]:
    """Up to ``limit`` keys of each kind, from the tenants that drift most, in the order of tenant and key.

    Raises:
        CannotDecide: when reading fails.
    """
    chosen = _enough(drifting, limit)
    if not chosen or not limit:
        return []
    statement = statements.drift("drift_samples.sql", first_read=False)
    rows = session.query(statement, statements.name, {**parameters(chosen, chosen), "limit": limit})
    differing = _differing(session, statements, sorted(chosen), [
        row["key_digest"] for row in rows if row["kind"] == "mismatched"
    ])
    return [
        sample_of(statements, row["tenant"], row["kind"], row["key"], differing.get(row["key_digest"], {}),
                  with_values=with_values)
        for row in rows
    ]


def parameters(tenants: Iterable[str], seen: dict[str, TrackedKeys] | None) -> dict[str, Any]:
    """The parameters of ``drift.sql`` for a batch of tenants."""
    tenants = sorted(tenants)
    earlier = [seen[tenant] for tenant in tenants if tenant in seen] if seen is not None else []
    return {
        "tenants": tenants,
        "first_read": seen is None,
        "seen_keys": together(drifting.keys for drifting in earlier),
        "seen_source": together(drifting.source_states for drifting in earlier),
        "seen_target": together(drifting.target_states for drifting in earlier),
        "seen_changed": together(drifting.changed for drifting in earlier),
    }


def _enough(drifting: dict[str, TrackedKeys], limit: int) -> dict[str, TrackedKeys]:
    """The most drifting tenants that together have ``limit`` keys of every kind, as far as there are any."""
    chosen: dict[str, TrackedKeys] = {}
    for kind in KINDS:
        wanted = limit
        for tenant in sorted(drifting, key=lambda t: (-drifting[t].counts[kind], t)):
            if wanted <= 0 or not drifting[tenant].counts[kind]:
                break
            chosen[tenant] = drifting[tenant]
            wanted -= drifting[tenant].counts[kind]
    return chosen


def _differing(
    session: Session, statements: EntityStatements, tenants: list[str], keys: list[int]
) -> dict[int, Differing]:
    """By key digest and column: the values of both sides of the columns that differ."""
    found: dict[int, Differing] = {}
    if keys and statements.entity.compare:
        wanted = {"tenants": tenants, "keys": keys}
        for row in session.query(statements.differing_columns(), statements.name, wanted):
            values = (_bounded(row["source_value"]), _bounded(row["target_value"]))
            found.setdefault(row["key_digest"], {})[row["column_name"]] = values
    return found


def _bounded(text: str | None) -> str | None:
    return None if text is None else bounded_name(text)
