"""Independent oracle: reads every row of both models into Python and compares multisets per key."""

from __future__ import annotations

from collections import Counter, defaultdict

import psycopg

from orgrecon_pipeline.demo.faults import DriftingKey

SIDES = {
    "org_units": (
        "SELECT tenant_id, id::text, name, 'team', parent_team_id FROM public.teams WHERE deleted_at IS NULL",
        """SELECT tenant_id, legacy_id::text, name, kind,
                  (SELECT p.legacy_id FROM public.org_units p WHERE p.id = u.parent_id AND p.tenant_id = u.tenant_id)
           FROM public.org_units u WHERE deleted_at IS NULL""",
        1,
    ),
    "org_unit_memberships": (
        "SELECT tenant_id, team_id::text, user_id::text, role FROM public.team_members",
        """SELECT m.tenant_id, u.legacy_id::text, m.user_id::text, m.role
           FROM public.org_unit_memberships m JOIN public.org_units u
             ON u.id = m.org_unit_id AND u.tenant_id = m.tenant_id""",
        2,
    ),
}


def rows_by_key(connection, query, width):
    """Return the multiset of compared values by tenant and key; the key has ``width`` columns."""
    rows = defaultdict(Counter)
    for tenant, *rest in connection.execute(query):
        rows[tenant, tuple(rest[:width])][tuple(rest[width:])] += 1
    return rows


def differences(source_dsn, target_dsn=None):
    """Return the set of all drifting keys; one database is read in one snapshot."""
    drifting = set()
    with psycopg.connect(source_dsn) as source, psycopg.connect(target_dsn or source_dsn) as other:
        source.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        target = other if target_dsn else source
        for entity, (source_query, target_query, width) in SIDES.items():
            left, right = rows_by_key(source, source_query, width), rows_by_key(target, target_query, width)
            for tenant, key in left.keys() | right.keys():
                copies, others = left.get((tenant, key), Counter()), right.get((tenant, key), Counter())
                if copies == others:
                    continue
                if not others:
                    kinds = ["missing"]
                elif not copies:
                    kinds = ["unexpected"]
                else:
                    same_count = sum(copies.values()) == sum(others.values())
                    kinds = [] if same_count else ["duplicate"]
                    kinds += ["mismatched"] if same_count or set(copies) != set(others) else []
                drifting |= {DriftingKey(entity, kind, tenant, key) for kind in kinds}
    return drifting
