-- Name and properties of the given types. Types with an OID below 16384 are built in, so their equality is known.
SELECT t.oid::bigint AS oid, pg_catalog.format_type(t.oid, NULL) AS name, t.typcollation <> 0 AS collatable,
       t.oid < 16384 OR t.typtype = 'e' AS native_equality,
       t.typcategory IN ('A', 'C', 'R') OR t.oid = 'jsonb'::regtype AS composite
FROM pg_catalog.pg_type AS t
WHERE t.oid = ANY (%(oids)s::oid[])
