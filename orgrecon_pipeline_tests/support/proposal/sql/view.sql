CREATE TABLE unit (tenant_id integer NOT NULL, id integer NOT NULL, name text NOT NULL, PRIMARY KEY (tenant_id, id));
CREATE TABLE store (tenant_id integer NOT NULL, id integer NOT NULL, name text NOT NULL, shelf xml);
INSERT INTO unit SELECT n % 5, n, 'unit ' || n FROM generate_series(1, 60) AS n;
INSERT INTO store SELECT n % 5, n, 'unit ' || n FROM generate_series(1, 60) AS n;
CREATE VIEW unit_v2 AS SELECT tenant_id, id, name FROM store;
