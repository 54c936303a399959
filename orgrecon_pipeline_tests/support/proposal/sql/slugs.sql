-- One model refers to tenants by number, the other one by slug. Accounts have a table of settings beside them.
CREATE SCHEMA core;
CREATE SCHEMA directory;
CREATE TABLE core.workspaces (id integer PRIMARY KEY, handle text NOT NULL UNIQUE);
CREATE TABLE core.staff (
    login text PRIMARY KEY, workspace_id integer NOT NULL REFERENCES core.workspaces, email text, ended_on date,
    settings json
);
CREATE TABLE core.staff_settings (login text PRIMARY KEY REFERENCES core.staff, email text, locale text);
CREATE TABLE core.badge (login text NOT NULL REFERENCES core.staff, number integer NOT NULL, PRIMARY KEY (login, number));
INSERT INTO core.workspaces SELECT n, 'ws-' || n FROM generate_series(1, 3) AS n;
INSERT INTO core.staff
SELECT 'user' || n, 1 + n % 3, 'u' || n || '@example.com', CASE WHEN n % 5 = 0 THEN date '2023-01-01' + n END,
       json_build_object('theme', n % 7) FROM generate_series(1, 80) AS n;
INSERT INTO core.staff_settings SELECT login, email, 'de' FROM core.staff;
INSERT INTO core.badge SELECT login, 7 FROM core.staff;
CREATE TABLE directory.identity (
    id uuid PRIMARY KEY, workspace_handle text NOT NULL, username text NOT NULL UNIQUE, contact text,
    ended_at timestamptz, preferences jsonb
);
CREATE TABLE directory.visit (
    place integer NOT NULL, identity_id uuid NOT NULL REFERENCES directory.identity, PRIMARY KEY (place, identity_id)
);
INSERT INTO directory.identity
SELECT md5(login)::uuid, 'ws-' || workspace_id, login, email, ended_on::timestamp AT TIME ZONE 'UTC', settings
FROM core.staff;
INSERT INTO directory.visit SELECT n, id FROM directory.identity, generate_series(1, 2) AS n;
