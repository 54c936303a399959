-- The packaged tables, filled by the server. {order} is the order of the heaps.
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

-- As if v2.3 had kept the legacy ids: the target of a mapping without a join.
CREATE TABLE flat_memberships (LIKE team_members INCLUDING ALL);
INSERT INTO flat_memberships SELECT * FROM team_members ORDER BY {order};
