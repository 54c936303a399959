-- Rows of the given tables by the statistics of the server, counted as one shard, and whether this role may change them.
SELECT c.oid::bigint AS oid, greatest(c.reltuples, 0)::bigint AS estimated_rows, 1 AS shards,
       c.reltuples >= 0 AS analysed, greatest(c.relpages, 0)::bigint * current_setting('block_size')::bigint AS bytes,
       pg_catalog.has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') AS may_write
FROM pg_catalog.pg_class AS c
WHERE c.oid = ANY (%(oids)s::oid[])
