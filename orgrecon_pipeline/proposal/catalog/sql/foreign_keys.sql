-- Foreign keys of the given relations. One that is not validated may have rows that refer to nothing.
SELECT k.conrelid::bigint AS table, k.confrelid::bigint AS referenced_table, k.convalidated AS validated,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS c (attnum, position)
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.attnum
             ORDER BY c.position) AS columns,
       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS c (attnum, position)
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = c.attnum
             ORDER BY c.position) AS referenced
FROM pg_catalog.pg_constraint AS k
WHERE k.contype = 'f' AND k.conrelid = ANY (%(oids)s::oid[])
ORDER BY k.conrelid, k.oid
