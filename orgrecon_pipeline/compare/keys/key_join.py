"""The exact pass where keys are unique: one join by key, held against the fingerprints.

A join pairs every copy of a key with every copy of it on the other side, and so miscounts where there are several.
What it finds must therefore make up the balance of the tenant's fingerprints: the sum of the digests of its source rows
less that of its target rows. Let a key have n copies on the source, n(v) of them with value v and digest d(v), and m
and m(v) on the target. It adds Σ (n(v) − m(v))·d(v) to the balance, and the pairs of different values that the join
finds add Σ (n(v)·m − m(v)·n)·d(v). With random digests the two are equal only if n(v)·(m − 1) = m(v)·(n − 1) for every
v: when n = m = 1, or when the multisets are equal and any drift is seen in two pairs or more. A tenant whose balance is
not made up, or of which a key is in several pairs, is left to :mod:`orgrecon_pipeline.compare.keys.drilldown`. So are all of
them when the join takes long: n copies on both sides are n² pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

from orgrecon_pipeline.compare.keys.tracked_keys import TrackedKeys
from orgrecon_pipeline.compare.scan.fingerprints import Fingerprints
from orgrecon_pipeline.compare.statements import EntityStatements
from orgrecon_pipeline.postgres.session import EVERY_ROW, Session

_KINDS_SEEN = ("missing", "unexpected", "mismatched")
# How long a join may take: so many seconds, and one more for so many rows of both sides. Where keys are unique it joins
# ten times as many a second at least.
_PATIENCE = 10.0
_ROWS_A_SECOND = 100_000


def join_sides(
    session: Session, statements: EntityStatements, tenants: Sequence[str], prints: Fingerprints
) -> tuple[dict[str, TrackedKeys], list[str]]:
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
    patience = _PATIENCE + sum(map(prints.rows_in, tenants)) / _ROWS_A_SECOND
    with session.planned(EVERY_ROW if everyone else {}):
        parameters = {} if everyone else {"tenants": list(tenants)}
        rows = session.query_within(patience, statement, statements.name, parameters)
    if rows is None:
        return {}, list(tenants)
    # Others come along where a collation calls their names equal.
    by_tenant = {row["tenant"]: row for row in rows}
    found, unproven = {}, []
    for tenant in tenants:
        row = by_tenant.get(tenant)
        if (row["in_several_pairs"] if row else 0) or (int(row["balance"]) if row else 0) != prints.balance(tenant):
            unproven.append(tenant)
        elif row:
            found[tenant] = TrackedKeys.first_seen(
                {**{kind: row[kind] for kind in _KINDS_SEEN}, "duplicate": 0},
                row["keys"], row["source_states"], row["target_states"],
            )
    return found, unproven
