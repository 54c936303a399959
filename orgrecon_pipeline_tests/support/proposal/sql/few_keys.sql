CREATE TABLE team (tenant_id integer NOT NULL, id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE team_v2 (tenant_id integer NOT NULL, id integer PRIMARY KEY, name text NOT NULL);
INSERT INTO team SELECT 1, n, 'team ' || n FROM generate_series(1, 60) AS n;
INSERT INTO team_v2 SELECT 1, n, 'team ' || n FROM generate_series(41, 100) AS n;
