-- A status with a value for deleted rows: an enum beside the date of the deletion, and a text whose deleted rows the target lacks.
CREATE TYPE member_state AS ENUM ('active', 'suspended', 'deleted');
CREATE TABLE member (tenant_id integer NOT NULL, id integer PRIMARY KEY, name text NOT NULL, state member_state NOT NULL);
CREATE TABLE member_v2 (
    tenant_id integer NOT NULL, id integer PRIMARY KEY, name text NOT NULL, state text NOT NULL, deleted_at timestamptz
);
CREATE TABLE room (tenant_id integer NOT NULL, id integer PRIMARY KEY, name text NOT NULL, status text);
CREATE TABLE room_v2 (tenant_id integer NOT NULL, id integer PRIMARY KEY, name text NOT NULL, status text);
INSERT INTO member
SELECT n % 3, n, 'm' || n, CASE WHEN n % 10 = 0 THEN 'deleted' WHEN n % 4 = 0 THEN 'suspended' ELSE 'active' END::member_state
FROM generate_series(1, 60) AS n;
INSERT INTO member_v2 SELECT tenant_id, id, name, state, CASE WHEN state = 'deleted' THEN now() END FROM member;
INSERT INTO room
SELECT n % 3, n, 'r' || n, CASE n % 5 WHEN 0 THEN 'deleted' WHEN 1 THEN 'closed' ELSE 'open' END FROM generate_series(1, 60) AS n;
INSERT INTO room_v2 SELECT * FROM room WHERE status <> 'deleted';
