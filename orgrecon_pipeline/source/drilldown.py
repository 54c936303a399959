"""The exact pass: every drifting key of the tenants that differ, counted by kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from orgrecon_pipeline.domain.evidence import KINDS, Sample
from orgrecon_pipeline.domain.text import bounded
from orgrecon_pipeline.source.fingerprint import SideRows
from orgrecon_pipeline.source.session import Session
from orgrecon_pipeline.source.statements import EntityStatements

# Rows of both sides that one statement groups: bounds its memory on the server.
BATCH_ROWS = 4_000_000


@dataclass(frozen=True)
class Drifting:
    """The drifting keys of one tenant.

    Counts by kind as of the latest read, of the keys that are not in flux; per key its digest, the state of each side
    as it was when the key began to be watched and as it is now, and whether both have changed in between (in flux).
    """

    counts: dict[str, int]
    keys: list[int] = field(repr=False)
    source_states: list[int] = field(repr=False)
    target_states: list[int] = field(repr=False)
    sources_now: list[int] = field(repr=False)
    targets_now: list[int] = field(repr=False)
    in_flux: list[bool] = field(repr=False)

    def part(self, *, in_flux: bool) -> Drifting | None:
        """The keys that are in flux or those that are not, to be watched from their present state; None for none."""
        chosen = [place for place, flux in enumerate(self.in_flux) if flux == in_flux]
        if not chosen:
            return None
        sources, targets = ([states[i] for i in chosen] for states in (self.sources_now, self.targets_now))
        return Drifting(
            dict.fromkeys(KINDS, 0) if in_flux else self.counts, [self.keys[i] for i in chosen],
            sources, targets, sources, targets, [False] * len(chosen),
        )

    def joined(self, other: Drifting | None) -> Drifting:
        """These keys and other ones of the same tenant."""
        if other is None:
            return self
        return Drifting(
            {kind: self.counts[kind] + other.counts[kind] for kind in KINDS}, self.keys + other.keys,
            self.source_states + other.source_states, self.target_states + other.target_states,
            self.sources_now + other.sources_now, self.targets_now + other.targets_now, self.in_flux + other.in_flux,
        )


#: Drifting keys by entity and tenant.
Drift = dict[str, dict[str, Drifting]]


def split(drift: Drift) -> tuple[Drift, Drift]:
    """What still drifts as it did, and what is in flux."""
    parts = []
    for in_flux in (False, True):
        chosen = {name: {t: d.part(in_flux=in_flux) for t, d in found.items()} for name, found in drift.items()}
        parts.append({name: {t: d for t, d in found.items() if d is not None} for name, found in chosen.items()})
    return parts[0], parts[1]


def merged(one: Drift, other: Drift) -> Drift:
    """The keys of both, which have none in common."""
    return {
        name: {t: other[name][t].joined(one[name].get(t)) if t in other[name] else one[name][t]
               for t in one[name].keys() | other[name].keys()}
        for name in one
    }


def drill_down(
    session: Session,
    statements: EntityStatements,
    tenants: dict[str, SideRows],
    seen: dict[str, Drifting] | None = None,
) -> dict[str, Drifting]:
    """Drift of the given tenants by tenant; tenants without any are left out.

    Args:
        session: a session with an open transaction.
        statements: the entity's.
        tenants: which, with their rows.
        seen: what an earlier read found; when given, only those keys count.

    Raises:
        CannotDecide: when reading fails.
    """
    statement = statements.drift("drift_counts.sql")
    found = {}
    for batch in _batches(tenants):
        for row in session.query(statement, statements.name, parameters(batch, seen)):
            found[row["tenant"]] = Drifting(
                {kind: row[kind] or 0 for kind in KINDS}, row["key_digests"], row["source_states"],
                row["target_states"], row["sources_now"], row["targets_now"], row["in_flux"],
            )
    return found


def read_samples(
    session: Session, statements: EntityStatements, drifting: dict[str, Drifting], limit: int, *, with_values: bool
) -> list[Sample]:
    """Up to ``limit`` keys of each kind, from the tenants that drift most, in the order of tenant and key.

    Raises:
        CannotDecide: when reading fails.
    """
    chosen = _enough(drifting, limit)
    if not chosen or not limit:
        return []
    rows = session.query(
        statements.drift("drift_samples.sql"), statements.name, {**parameters(chosen, chosen), "limit": limit}
    )
    differing = _differing(session, statements, sorted(chosen), [
        row["key_digest"] for row in rows if row["kind"] == "mismatched"
    ])
    samples = []
    for row in rows:
        values = differing.get(row["key_digest"], {}) if row["kind"] == "mismatched" else {}
        # Each column alone can agree where only their combinations differ between several copies.
        columns = tuple(sorted(values)) or (statements.entity.compare if row["kind"] == "mismatched" else ())
        samples.append(Sample(
            tenant=bounded(row["tenant"]), entity=statements.name, kind=row["kind"],
            key={name: bounded(text) for name, text in zip(statements.entity.key, row["key"], strict=True)},
            columns=columns,
            values=values if with_values and values else None,
        ))
    return samples


def parameters(tenants: Iterable[str], seen: dict[str, Drifting] | None) -> dict[str, Any]:
    """The parameters of ``drift.sql`` for a batch of tenants."""
    tenants = sorted(tenants)
    earlier = [seen[tenant] for tenant in tenants if tenant in seen] if seen is not None else []
    return {
        "tenants": tenants,
        "first_read": seen is None,
        "seen_keys": [key for drifting in earlier for key in drifting.keys],
        "seen_source": [state for drifting in earlier for state in drifting.source_states],
        "seen_target": [state for drifting in earlier for state in drifting.target_states],
    }


def _batches(tenants: dict[str, SideRows]) -> Iterator[list[str]]:
    batch: list[str] = []
    rows = 0
    for tenant in sorted(tenants):
        batch.append(tenant)
        rows += tenants[tenant].source + tenants[tenant].target
        if rows >= BATCH_ROWS:
            yield batch
            batch, rows = [], 0
    if batch:
        yield batch


def _enough(drifting: dict[str, Drifting], limit: int) -> dict[str, Drifting]:
    """The most drifting tenants that together have ``limit`` keys of every kind, as far as there are any."""
    chosen: dict[str, Drifting] = {}
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
) -> dict[int, dict[str, tuple[str | None, str | None]]]:
    """By key digest and column: the values of both sides of the columns that differ."""
    found: dict[int, dict[str, tuple[str | None, str | None]]] = {}
    for column in statements.entity.compare if keys else ():
        wanted = {"tenants": tenants, "keys": keys}
        for row in session.query(statements.differing_column(column), statements.name, wanted):
            values = (_bounded(row["source_value"]), _bounded(row["target_value"]))
            found.setdefault(row["key_digest"], {})[column] = values
    return found


def _bounded(text: str | None) -> str | None:
    return None if text is None else bounded(text)
