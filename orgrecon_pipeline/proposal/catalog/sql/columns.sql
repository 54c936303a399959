-- Columns of the given relations, with the labels of enums.
SELECT a.attrelid::bigint AS table, a.attname::text AS name, pg_catalog.quote_ident(a.attname) AS quoted,
       a.atttypid::bigint AS type, NOT a.attnotnull AS nullable,
       ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum AS e
             WHERE e.enumtypid = a.atttypid ORDER BY e.enumsortorder) AS labels
FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid = ANY (%(oids)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
