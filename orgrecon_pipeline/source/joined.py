"""The exact pass where keys are unique: one join by key, held against the fingerprints.

A join pairs every copy of a key with every copy of it on the other side, and so miscounts where there are several.
What it finds must therefore make up the balance of the tenant's fingerprints: the sum of the digests of its source rows
less that of its target rows. Let a key have n copies on the source, n(v) of them with value v and digest d(v), and m
and m(v) on the target. It adds Σ (n(v) − m(v))·d(v) to the balance, and the pairs of different values that the join
finds add Σ (n(v)·m − m(v)·n)·d(v). With random digests the two are equal only if n(v)·(m − 1) = m(v)·(n − 1) for every
v: when n = m = 1, or when the multisets are equal and any drift is seen in two pairs or more. A tenant whose balance is
not made up, or of which a key is in several pairs, is left to :mod:`orgrecon_pipeline.source.drilldown`.
"""

from __future__ import annotations

from collections.abc import Sequence

from orgrecon_pipeline.source.drifting import Drifting
from orgrecon_pipeline.source.fingerprint import Fingerprints
from orgrecon_pipeline.source.session import EVERY_ROW, Session
from orgrecon_pipeline.source.statements import EntityStatements

_KINDS_SEEN = ("missing", "unexpected", "mismatched")


def join_sides(
    session: Session, statements: EntityStatements, tenants: Sequence[str], prints: Fingerprints
) -> tuple[dict[str, Drifting], list[str]]:
    """Drift by tenant, and the tenants of which a join cannot tell.

    Args:
        session: in the snapshot of the fingerprints.
        statements: the entity's; ``statements.joinable`` must hold.
        tenants: which.
        prints: the fingerprints of the entity.

    Raises:
        CannotDecide: when reading fails.
    """
    everyone = len(tenants) == len(prints.tenants)
    statement = statements.drift_joined(everyone=everyone)
    with session.planned(EVERY_ROW if everyone else {}):
        rows = session.query(statement, statements.name, {} if everyone else {"tenants": list(tenants)})
    found, balances, repeated = {}, {}, set()
    for row in rows:
        tenant = row["tenant"]
        balances[tenant] = int(row["balance"])
        if row["in_several_pairs"]:
            repeated.add(tenant)
        found[tenant] = Drifting.first_seen(
            {**{kind: row[kind] for kind in _KINDS_SEEN}, "duplicate": 0},
            row["keys"], row["source_states"], row["target_states"],
        )
    unproven = [
        tenant for tenant in tenants
        if tenant in repeated or balances.get(tenant, 0) != prints.balance(tenant)
    ]
    return {tenant: drifting for tenant, drifting in found.items() if tenant not in set(unproven)}, unproven
