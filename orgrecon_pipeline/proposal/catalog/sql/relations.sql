-- Tables, views and foreign tables of users, without partitions, temporary tables and members of extensions. The schemas
-- can be restricted. The number of rows comes from the last ANALYZE, and NULL if there was none.
SELECT c.oid::bigint AS oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS quoted,
       CASE c.relkind WHEN 'r' THEN pg_catalog.pg_relation_size(c.oid) / 8192
            WHEN 'p' THEN coalesce(parts.pages, 0) ELSE greatest(c.relpages, 0) END::bigint AS blocks,
       CASE WHEN parts.fewest >= 0 AND parts.pages > 0 THEN parts.tuples END::bigint AS rows,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AS readable
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
    SELECT pg_catalog.min(p.reltuples) AS fewest, pg_catalog.sum(p.reltuples) AS tuples, pg_catalog.sum(p.relpages) AS pages
    FROM pg_catalog.pg_class AS p
    WHERE p.relkind = 'r' AND (
        p.oid = c.oid OR p.oid IN (SELECT t.relid FROM pg_catalog.pg_partition_tree(c.oid) AS t))
) AS parts ON c.relkind IN ('r', 'p')
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND NOT c.relispartition
  AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%%'
  AND (%(schemas)s::text[] IS NULL OR n.nspname = ANY (%(schemas)s::text[]))
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_depend AS d
      WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname, c.relname
LIMIT %(limit)s
