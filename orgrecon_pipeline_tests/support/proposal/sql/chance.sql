CREATE TABLE team (tenant_id integer NOT NULL, id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE team_v2 (tenant_id integer NOT NULL, id serial PRIMARY KEY, name text NOT NULL);
INSERT INTO team (tenant_id, name) SELECT 1, 'team ' || n FROM generate_series(1, 60) AS n;
INSERT INTO team_v2 (tenant_id, name) SELECT 1, 'team ' || 61 - n FROM generate_series(1, 60) AS n;
