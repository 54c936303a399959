-- The legacy model: teams and their members.
CREATE TABLE teams (
    tenant_id text NOT NULL,
    id integer PRIMARY KEY,
    name text NOT NULL,
    parent_team_id integer REFERENCES teams
);
CREATE TABLE team_members (
    tenant_id text NOT NULL,
    team_id integer NOT NULL REFERENCES teams,
    user_id integer NOT NULL,
    role text NOT NULL,
    PRIMARY KEY (team_id, user_id)
);

-- The new model: each org unit keeps the identifier of its team.
CREATE TABLE org_units (
    tenant_id text NOT NULL,
    id integer GENERATED ALWAYS AS IDENTITY (START WITH 1001) PRIMARY KEY,
    legacy_id integer UNIQUE REFERENCES teams,
    name text NOT NULL,
    parent_id integer REFERENCES org_units
);
CREATE TABLE org_unit_memberships (
    tenant_id text NOT NULL,
    org_unit_id integer NOT NULL REFERENCES org_units,
    user_id integer NOT NULL,
    role text NOT NULL,
    PRIMARY KEY (org_unit_id, user_id)
);

-- Two tenants with 20 teams each, and five members in each team.
INSERT INTO teams
SELECT 'acme', n, 'Team ' || n, CASE WHEN n > 1 THEN 1 END FROM generate_series(1, 20) n;
INSERT INTO teams
SELECT 'northwind', n, 'Team ' || n, CASE WHEN n > 21 THEN 21 END FROM generate_series(21, 40) n;
INSERT INTO team_members
SELECT tenant_id, id, 100 * id + n, CASE WHEN n = 1 THEN 'lead' ELSE 'member' END
FROM teams, generate_series(1, 5) n;

-- The application copied both tables to the new model.
INSERT INTO org_units (tenant_id, legacy_id, name)
SELECT tenant_id, id, name FROM teams ORDER BY id;
UPDATE org_units u SET parent_id = p.id
FROM teams t JOIN org_units p ON p.legacy_id = t.parent_team_id
WHERE t.id = u.legacy_id;
INSERT INTO org_unit_memberships
SELECT u.tenant_id, u.id, m.user_id, m.role
FROM team_members m JOIN org_units u ON u.legacy_id = m.team_id;

-- Since then, three writes did not reach the new model.
INSERT INTO team_members VALUES ('northwind', 25, 2506, 'member');
UPDATE team_members SET role = 'member' WHERE user_id = 2101;
UPDATE teams SET name = 'Sales' WHERE id = 30;

ANALYZE teams, team_members, org_units, org_unit_memberships;
