-- A fresh copy in order: the new identifiers happen to equal the old ones, and diverge with the next row.
CREATE TABLE office (id integer PRIMARY KEY, tenant_id integer NOT NULL, city text NOT NULL);
CREATE TABLE office_v2 (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, legacy_id integer NOT NULL UNIQUE, tenant_id integer NOT NULL,
    city text NOT NULL
);

INSERT INTO office SELECT n, 1 + n % 3, 'city ' || n FROM generate_series(1, 60) AS n;
INSERT INTO office_v2 (legacy_id, tenant_id, city) SELECT id, tenant_id, city FROM office ORDER BY id;
