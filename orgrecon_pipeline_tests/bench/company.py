"""The data that is measured on: built by the server itself, in databases that are dropped afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.demo.company import create_schema
from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.mapping import MappingConfig

UNIT_ROWS = 50

SEED = """
INSERT INTO tenants SELECT 'tenant-' || t FROM generate_series(1, %(tenants)s) t;
INSERT INTO teams SELECT 'tenant-' || t, u, 'team ' || u, CASE WHEN u > 1 THEN 1 END, NULL
    FROM generate_series(1, %(tenants)s) t, generate_series(1, %(units)s) u;
INSERT INTO org_units (tenant_id, id, legacy_id, kind, name, parent_id)
    SELECT tenant_id, md5(tenant_id || id)::uuid, id, 'team', name, md5(tenant_id || parent_team_id)::uuid FROM teams;
INSERT INTO team_members SELECT tenant_id, id, md5(tenant_id || id || m)::uuid, 'member'
    FROM teams, generate_series(1, %(members)s) m;
INSERT INTO org_unit_memberships SELECT tenant_id, md5(tenant_id || team_id)::uuid, user_id, role FROM team_members;
"""
# One membership of each drifting tenant, spread over all of them.
DRIFT = """
UPDATE org_unit_memberships AS m SET role = 'owner' FROM (
    SELECT DISTINCT ON (tenant_id) tenant_id, org_unit_id, user_id FROM org_unit_memberships
    WHERE substr(tenant_id, 8)::bigint %% %(tenants)s < %(drifting)s ORDER BY tenant_id, org_unit_id, user_id
) AS chosen WHERE (m.tenant_id, m.org_unit_id, m.user_id) = (chosen.tenant_id, chosen.org_unit_id, chosen.user_id)
"""
# Both sides of one shape, as if v2.3 had kept the legacy ids: a mapping without a join.
FLAT = """
CREATE TABLE flat_memberships (LIKE team_members INCLUDING ALL);
INSERT INTO flat_memberships
    SELECT m.tenant_id, u.legacy_id, m.user_id, m.role
    FROM org_unit_memberships m JOIN org_units u ON u.id = m.org_unit_id AND u.tenant_id = m.tenant_id;
"""

_SOURCE = "SELECT tenant_id, team_id AS unit_id, user_id, role FROM team_members"
_TARGETS = {
    "joined": "SELECT m.tenant_id, u.legacy_id AS unit_id, m.user_id, m.role FROM org_unit_memberships m "
              "JOIN org_units u ON u.id = m.org_unit_id AND u.tenant_id = m.tenant_id",
    "flat": "SELECT tenant_id, team_id AS unit_id, user_id, role FROM flat_memberships",
}
_TABLES = {"joined": "org_unit_memberships", "flat": "flat_memberships"}


@dataclass(frozen=True)
class Size:
    """Memberships a side, rows of a tenant, and the percentage of tenants that drift."""

    rows: int
    tenant_rows: int = 2_000
    percent: int = 0

    @property
    def tenants(self) -> int:
        """How many tenants that makes."""
        return max(1, self.rows // self.tenant_rows)

    def parameters(self) -> dict[str, int]:
        """Those of the statements above."""
        members = min(UNIT_ROWS, self.tenant_rows)
        return {"tenants": self.tenants, "units": max(1, self.tenant_rows // members), "members": members,
                "drifting": max(1, self.tenants * self.percent // 100) if self.percent else 0}


@contextmanager
def company(server: EmbeddedServer, size: Size) -> Iterator[str]:
    """The DSN of a database of that size, vacuumed and analysed."""
    name = f"bench_{size.rows}_{size.tenant_rows}_{size.percent}"
    dsn = server.create_database(name)
    with psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        create_schema(connection)
        for statements in (SEED, DRIFT, FLAT):
            connection.execute(statements, size.parameters())
        connection.execute("VACUUM ANALYZE")
    yield dsn
    server.drop_database(name)


def mapping(shape: str, **scan: Any) -> MappingConfig:
    """Memberships alone, mapped with the packaged ``joined`` target or a ``flat`` one, without waiting."""
    packaged = default_mapping()
    entity = packaged.entities["org_unit_memberships"]
    if shape == "flat":
        [source] = entity.source
        flat = source.model_copy(update={"from_": "public.flat_memberships"})
        entity = entity.model_copy(update={"target": (flat,)})
    return packaged.model_copy(update={
        "entities": {"org_unit_memberships": entity},
        "scan": packaged.scan.model_copy(update={"settle_seconds": 0.0, "rechecks": 0, **scan}),
    })


def sides(shape: str) -> tuple[str, str]:
    """Both sides as SELECT statements."""
    return _SOURCE, _TARGETS[shape]


def rivals(shape: str) -> dict[str, str]:
    """Other ways to compare in SQL, and the floor: counting the rows of the same tables."""
    source, target = sides(shape)
    return {
        "count(*) of the tables":
            f"SELECT (SELECT count(*) FROM team_members), (SELECT count(*) FROM {_TABLES[shape]})",
        "one FULL JOIN":
            f"SELECT count(*) FROM ({source}) s FULL JOIN ({target}) t USING (tenant_id, unit_id, user_id) "
            "WHERE s.role IS DISTINCT FROM t.role",
        # What a comparison has to answer: of every tenant, how many keys drift, and how.
        "one FULL JOIN, counted by tenant":
            "SELECT coalesce(s.tenant_id, t.tenant_id), count(s.unit_id), count(t.unit_id), "
            "count(*) FILTER (WHERE t.unit_id IS NULL), count(*) FILTER (WHERE s.unit_id IS NULL), "
            "count(*) FILTER (WHERE s.unit_id IS NOT NULL AND t.unit_id IS NOT NULL "
            "AND s.role IS DISTINCT FROM t.role) "
            f"FROM ({source}) s FULL JOIN ({target}) t ON (s.tenant_id, s.unit_id, s.user_id) = "
            "(t.tenant_id, t.unit_id, t.user_id) GROUP BY 1",
        "EXCEPT ALL both ways":
            f"SELECT count(*) FROM (({source} EXCEPT ALL {target}) UNION ALL ({target} EXCEPT ALL {source})) AS d",
    }
