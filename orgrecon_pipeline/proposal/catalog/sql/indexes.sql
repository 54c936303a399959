-- Columns of each valid index of the given relations, without those that are only included. An index of expressions has
-- no columns here; only a unique index without a condition is a key.
SELECT i.indrelid::bigint AS table, i.indisunique AND i.indpred IS NULL AS is_key, i.indpred IS NULL AS whole,
       ARRAY(SELECT a.attname::text
             FROM unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY AS k (attnum, position)
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
             ORDER BY k.position) AS columns
FROM pg_catalog.pg_index AS i
WHERE i.indrelid = ANY (%(oids)s::oid[]) AND i.indisvalid AND i.indexprs IS NULL
ORDER BY i.indrelid, i.indisprimary DESC, i.indexrelid
