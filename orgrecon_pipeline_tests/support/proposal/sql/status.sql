CREATE TYPE status AS ENUM ('active', 'deleted');
CREATE TABLE member (tenant_id integer NOT NULL, id integer PRIMARY KEY, name text NOT NULL, status status NOT NULL);
CREATE TABLE member_v2 (tenant_id integer NOT NULL, id integer PRIMARY KEY, name text NOT NULL, deleted_at timestamptz);
INSERT INTO member SELECT n % 3, n, 'm' || n, CASE WHEN n % 10 = 0 THEN 'deleted' ELSE 'active' END::status
FROM generate_series(1, 60) AS n;
INSERT INTO member_v2 SELECT n % 3, n, 'm' || n, CASE WHEN n % 10 = 0 THEN now() END FROM generate_series(1, 60) AS n;
