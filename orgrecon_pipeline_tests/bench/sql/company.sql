-- The packaged tables, filled by the server. {order} is the order of the heaps.

-- As if v2.3 had kept the legacy ids: the target of a mapping without a join.
CREATE TABLE flat_memberships (LIKE team_members INCLUDING ALL);

-- Indexes are built after all rows are inserted, which is much faster. Until then, no statement may read them.
UPDATE pg_index SET indisready = false, indisvalid = false
WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace);

INSERT INTO tenants SELECT %(prefix)s || t FROM generate_series(1, %(tenants)s) AS t;

INSERT INTO teams
SELECT %(prefix)s || t, u, 'team ' || u, CASE WHEN u > 1 THEN 1 END, NULL
FROM generate_series(1, %(tenants)s) AS t, generate_series(1, CASE WHEN t = 1 THEN %(first_units)s ELSE %(units)s END) AS u
ORDER BY {order};

INSERT INTO org_units (tenant_id, id, legacy_id, kind, name, parent_id)
SELECT tenant_id, md5(tenant_id || id)::uuid, id, 'team', name, md5(tenant_id || parent_team_id)::uuid
FROM teams
ORDER BY {order};

INSERT INTO team_members
SELECT tenant_id, id, md5(tenant_id || id || m)::uuid, 'member'
FROM teams, generate_series(1, %(members)s) AS m
ORDER BY {order};

INSERT INTO org_unit_memberships
SELECT tenant_id, md5(tenant_id || team_id)::uuid, user_id, role
FROM team_members
ORDER BY {order};

INSERT INTO flat_memberships SELECT * FROM team_members ORDER BY {order};

REINDEX TABLE tenants;
REINDEX TABLE teams;
REINDEX TABLE team_members;
REINDEX TABLE org_units;
REINDEX TABLE org_unit_memberships;
REINDEX TABLE flat_memberships;
