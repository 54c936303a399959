-- Name and properties of the given types; a domain, also as the element of an array, stands for its base type. Types with
-- an OID below 16384 are built in, so their equality is known.
WITH RECURSIVE asked AS (
    SELECT oid FROM unnest(%(oids)s::oid[]) AS oids (oid)
    UNION
    SELECT t.typelem FROM unnest(%(oids)s::oid[]) AS oids (oid) JOIN pg_catalog.pg_type AS t USING (oid)
    WHERE t.typelem <> 0
), base AS (
    SELECT oid AS domain, oid FROM asked
    UNION
    SELECT base.domain, t.typbasetype FROM base JOIN pg_catalog.pg_type AS t ON t.oid = base.oid WHERE t.typtype = 'd'
)
SELECT base.domain::bigint AS oid, pg_catalog.format_type(t.oid, NULL) AS name, t.typcollation <> 0 AS collatable,
       t.oid < 16384 OR t.typtype = 'e' AS native_equality,
       t.typcategory IN ('A', 'C', 'R') OR t.oid = 'jsonb'::regtype AS composite, t.typtype::text AS kind,
       coalesce(pg_catalog.format_type(e.oid, NULL), '') AS element, coalesce(e.typtype::text, '') AS element_kind
FROM base
JOIN pg_catalog.pg_type AS t ON t.oid = base.oid AND t.typtype <> 'd'
LEFT JOIN base AS element ON element.domain = t.typelem AND t.typcategory = 'A'
LEFT JOIN pg_catalog.pg_type AS e ON e.oid = element.oid AND e.typtype <> 'd'
WHERE base.domain = ANY (%(oids)s::oid[]) AND (t.typelem = 0 OR t.typcategory <> 'A' OR e.oid IS NOT NULL)
