CREATE TABLE team (tenant_id integer NOT NULL, id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE team_v2 (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), tenant_id integer NOT NULL,
                      legacy_id integer NOT NULL UNIQUE, name text NOT NULL);
CREATE TABLE swap (tenant_id integer NOT NULL, id integer PRIMARY KEY, "€" integer NOT NULL REFERENCES team (id),
                   "§" integer NOT NULL REFERENCES team (id));
CREATE TABLE swap_v2 (tenant_id integer NOT NULL, id integer PRIMARY KEY, "€" uuid NOT NULL REFERENCES team_v2 (id),
                      "§" uuid NOT NULL REFERENCES team_v2 (id));
INSERT INTO team SELECT 1, n, 'team ' || n FROM generate_series(1, 60) AS n;
INSERT INTO team_v2 (tenant_id, legacy_id, name) SELECT tenant_id, id, name FROM team;
INSERT INTO swap SELECT 1, n, n, 1 + n * 7 % 60 FROM generate_series(1, 60) AS n;
INSERT INTO swap_v2 SELECT s.tenant_id, s.id, a.id, b.id
FROM swap s JOIN team_v2 a ON a.legacy_id = s."€" JOIN team_v2 b ON b.legacy_id = s."§";
