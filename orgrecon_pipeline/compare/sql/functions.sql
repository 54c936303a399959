-- The given functions. Functions with an OID below 16384 are built in. The body is a tree (since PostgreSQL 14), a text,
-- or compiled. A function that returns void, such as pg_sleep, cannot hide a row.
SELECT p.oid::bigint AS oid, p.oid::regprocedure::text AS name, p.proname::text AS short_name, p.oid < 16384 AS built_in,
       p.provolatile = 'v' AND p.prorettype <> 'void'::regtype AS volatile, p.proretset AS returns_rows,
       p.provolatile = 'i' AS immutable,
       coalesce(pg_catalog.to_jsonb(p) ->> 'prosqlbody', '') AS body_tree,
       CASE WHEN l.lanname IN ('internal', 'c') THEN '' ELSE p.prosrc END AS body_text
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
WHERE p.oid = ANY (%(oids)s::oid[])
ORDER BY p.oid
