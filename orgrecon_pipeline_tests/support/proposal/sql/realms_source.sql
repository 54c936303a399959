-- Identifiers are UUIDs in columns of text, and few references are declared.
CREATE TABLE realm (id varchar(36) PRIMARY KEY, name varchar(255) UNIQUE);
CREATE TABLE keycloak_group (
    id varchar(36) PRIMARY KEY, name varchar(255), parent_group varchar(36) NOT NULL, realm_id varchar(36)
);
CREATE TABLE user_entity (
    id varchar(36) PRIMARY KEY, email varchar(255), enabled boolean NOT NULL, first_name varchar(255),
    realm_id varchar(255), username varchar(255), UNIQUE (realm_id, username)
);
CREATE TABLE user_group_membership (
    group_id varchar(36) NOT NULL, user_id varchar(36) NOT NULL REFERENCES user_entity, PRIMARY KEY (group_id, user_id)
);
INSERT INTO realm SELECT md5('r' || n)::uuid, 'realm-' || n FROM generate_series(1, 3) AS n;
INSERT INTO keycloak_group
SELECT md5('g' || n)::uuid, 'group-' || n, CASE WHEN n > 3 THEN md5('g' || 1 + n % 3)::uuid::text ELSE ' ' END,
       md5('r' || 1 + n % 3)::uuid FROM generate_series(1, 40) AS n;
INSERT INTO user_entity
SELECT md5('u' || n)::uuid, 'user' || n || '@example.com', n % 15 <> 0, 'First ' || n % 11, md5('r' || 1 + n % 3)::uuid,
       'user' || n FROM generate_series(1, 90) AS n;
INSERT INTO user_group_membership
SELECT md5('g' || g)::uuid, md5('u' || u)::uuid FROM generate_series(1, 40) AS g, generate_series(1, 90) AS u
WHERE g % 3 = u % 3 AND (g * 7 + u) % 5 = 0;
CREATE TABLE offer (id text PRIMARY KEY, created_at timestamp NOT NULL);
INSERT INTO offer SELECT 'offer-' || n, '2024-01-01'::timestamp + n * interval '1 day' FROM generate_series(1, 60) AS n;
