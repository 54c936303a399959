CREATE TYPE tier AS ENUM ('gold', 'silver', 'bronze');
CREATE TABLE squad (org_code text NOT NULL, squad_no integer NOT NULL, title varchar(80) NOT NULL, tier tier NOT NULL,
                    PRIMARY KEY (org_code, squad_no));
CREATE TABLE person (id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE squad_person (org_code text NOT NULL, squad_no integer NOT NULL, person_id integer NOT NULL,
                           function text NOT NULL, PRIMARY KEY (org_code, squad_no, person_id),
                           FOREIGN KEY (org_code, squad_no) REFERENCES squad (org_code, squad_no));
CREATE TABLE cell (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), org_code text NOT NULL, legacy_squad_no integer NOT NULL,
                   title text NOT NULL, tier text NOT NULL, created_at timestamptz NOT NULL DEFAULT now(),
                   UNIQUE (org_code, legacy_squad_no));
CREATE TABLE cell_person (cell_id uuid NOT NULL REFERENCES cell (id), org_code text NOT NULL, person_id integer NOT NULL,
                          function text NOT NULL, PRIMARY KEY (cell_id, person_id));
INSERT INTO squad SELECT 'org-' || o, n, 'squad ' || n || ' of ' || o, (ARRAY['gold', 'silver', 'bronze'])[1 + n % 3]::tier
FROM generate_series(1, 3) AS o, generate_series(1, 12) AS n;
UPDATE squad SET tier = 'silver' WHERE org_code = 'org-2' AND squad_no IN (1, 2);
INSERT INTO person SELECT n, 'person ' || n FROM generate_series(1, 40) AS n;
INSERT INTO squad_person SELECT org_code, squad_no, n, 'function ' || n
FROM squad, generate_series(3, 5) AS n WHERE (squad_no + n) % 3 <> 0 OR org_code = 'org-1' OR n = 5;
DELETE FROM squad_person WHERE org_code <> 'org-1' AND person_id = 5;
INSERT INTO cell (org_code, legacy_squad_no, title, tier) SELECT org_code, squad_no, title, tier::text FROM squad;
INSERT INTO cell_person SELECT c.id, s.org_code, s.person_id, s.function
FROM squad_person s JOIN cell c ON c.org_code = s.org_code AND c.legacy_squad_no = s.squad_no;
