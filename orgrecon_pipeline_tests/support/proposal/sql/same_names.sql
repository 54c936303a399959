-- Tables of the same names in two schemas, with copies of the source and of its tenants.
CREATE SCHEMA v23;
CREATE TABLE accounts (id bigint PRIMARY KEY, subdomain text NOT NULL UNIQUE);
CREATE TABLE groups (
    id bigint PRIMARY KEY, account_id bigint NOT NULL REFERENCES accounts, name text NOT NULL,
    archived boolean NOT NULL, deleted_at timestamp
);
INSERT INTO accounts SELECT n, 'account-' || n FROM generate_series(1, 3) AS n;
INSERT INTO groups
SELECT n, 1 + n % 3, 'Group ' || n, n % 11 = 0, CASE WHEN n % 19 = 0 THEN '2024-01-01'::timestamp END
FROM generate_series(1, 90) AS n;
CREATE TABLE groups_old AS TABLE groups;
CREATE SCHEMA backup;
CREATE TABLE backup.groups (LIKE groups INCLUDING ALL);
INSERT INTO backup.groups TABLE groups;
CREATE TABLE backup.accounts (LIKE accounts INCLUDING ALL);
INSERT INTO backup.accounts TABLE accounts;
CREATE TYPE v23.group_status AS ENUM ('live', 'archived');
CREATE TABLE v23.groups (
    id bigint PRIMARY KEY, account_id bigint NOT NULL, name text NOT NULL, status v23.group_status NOT NULL
);
INSERT INTO v23.groups
SELECT id, account_id, name, CASE WHEN archived THEN 'archived' ELSE 'live' END::v23.group_status
FROM groups WHERE deleted_at IS NULL;
