CREATE SCHEMA core;
CREATE TABLE core.tenant (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), slug text NOT NULL UNIQUE);
CREATE TABLE core.unit (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), tenant_id uuid NOT NULL REFERENCES core.tenant, legacy_no bigint,
    display_name varchar(200) NOT NULL, parent_id uuid REFERENCES core.unit);
CREATE TABLE core.app_user (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), tenant_id uuid NOT NULL REFERENCES core.tenant, personnel_no bigint NOT NULL UNIQUE,
    "firstName" text NOT NULL, "lastName" text NOT NULL);
CREATE TABLE core.unit_member (
    tenant_id uuid NOT NULL REFERENCES core.tenant, unit_id uuid NOT NULL REFERENCES core.unit,
    user_id uuid NOT NULL REFERENCES core.app_user, role text NOT NULL, PRIMARY KEY (tenant_id, unit_id, user_id));
INSERT INTO core.tenant (slug) VALUES ('alpen'), ('nordsee'), ('rhein');
INSERT INTO core.unit (tenant_id, legacy_no, display_name)
SELECT t.id, 100 + n, 'Abteilung ' || n FROM generate_series(1, 40) AS n
JOIN core.tenant AS t ON t.slug = (ARRAY['nordsee', 'alpen', 'rhein'])[1 + n % 3] WHERE n % 10 > 0;
UPDATE core.unit AS u SET parent_id = p.id FROM core.unit AS p
WHERE u.legacy_no > 103 AND p.legacy_no = 101 + (u.legacy_no - 101) % 3;
INSERT INTO core.app_user (tenant_id, personnel_no, "firstName", "lastName")
SELECT t.id, 5000 + n, 'vor ' || n, 'nach ' || n FROM generate_series(1, 80) AS n
JOIN core.tenant AS t ON t.slug = (ARRAY['nordsee', 'alpen', 'rhein'])[1 + n % 3];
INSERT INTO core.unit_member
SELECT p.tenant_id, u.id, p.id, CASE p.personnel_no % 5 WHEN 0 THEN 'lead' ELSE 'member' END
FROM core.app_user AS p JOIN core.unit AS u USING (tenant_id) WHERE u.legacy_no % 5 = p.personnel_no % 5;
