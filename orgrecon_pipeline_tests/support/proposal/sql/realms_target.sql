CREATE SCHEMA org;
CREATE TABLE org.tenant (id uuid PRIMARY KEY, slug text NOT NULL UNIQUE, kc_realm_id uuid UNIQUE);
CREATE TABLE org.account (
    id uuid PRIMARY KEY, tenant_id uuid NOT NULL REFERENCES org.tenant, kc_user_id uuid NOT NULL UNIQUE,
    username text NOT NULL, email text, given_name text, status text NOT NULL
);
CREATE TABLE org.unit (
    id uuid PRIMARY KEY, tenant_id uuid NOT NULL REFERENCES org.tenant, kc_group_id uuid NOT NULL UNIQUE,
    name text NOT NULL, path text NOT NULL
);
CREATE TABLE org.unit_member (
    tenant_id uuid NOT NULL REFERENCES org.tenant, unit_id uuid NOT NULL REFERENCES org.unit,
    account_id uuid NOT NULL REFERENCES org.account, PRIMARY KEY (unit_id, account_id)
);
CREATE TABLE org.unit_audit (id bigint PRIMARY KEY, kc_group_id uuid, name text, path text);
INSERT INTO org.tenant SELECT md5('t' || n)::uuid, 'slug-' || n, md5('r' || n)::uuid FROM generate_series(1, 3) AS n;
INSERT INTO org.account
SELECT md5('a' || n)::uuid, md5('t' || 1 + n % 3)::uuid, md5('u' || n)::uuid, 'user' || n, 'user' || n || '@example.com',
       'First ' || n % 11, CASE WHEN n % 15 <> 0 THEN 'ACTIVE' ELSE 'DISABLED' END FROM generate_series(1, 90) AS n;
INSERT INTO org.unit
SELECT md5('o' || n)::uuid, md5('t' || 1 + n % 3)::uuid, md5('g' || n)::uuid, 'group-' || n, '/group-' || n
FROM generate_series(1, 40) AS n;
INSERT INTO org.unit_member
SELECT md5('t' || 1 + g % 3)::uuid, md5('o' || g)::uuid, md5('a' || u)::uuid
FROM generate_series(1, 40) AS g, generate_series(1, 90) AS u WHERE g % 3 = u % 3 AND (g * 7 + u) % 5 = 0;
INSERT INTO org.unit_audit SELECT row_number() OVER (), kc_group_id, name, path FROM org.unit;
-- A table that looks like a map, but is about unlike rows.
CREATE TABLE org.wallet (id uuid PRIMARY KEY, balance integer NOT NULL);
CREATE TABLE org.offer_wallet (offer_id text PRIMARY KEY, wallet_id uuid NOT NULL UNIQUE REFERENCES org.wallet);
INSERT INTO org.wallet SELECT md5('w' || n)::uuid, n FROM generate_series(1, 60) AS n;
INSERT INTO org.offer_wallet SELECT 'offer-' || n, md5('w' || n)::uuid FROM generate_series(1, 60) AS n;
