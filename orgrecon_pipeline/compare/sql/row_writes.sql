-- Rows inserted, updated and deleted in the given tables, as far as sessions have reported them. A standby counts none.
SELECT coalesce(sum(pg_catalog.pg_stat_get_tuples_inserted(t.oid) + pg_catalog.pg_stat_get_tuples_updated(t.oid)
                    + pg_catalog.pg_stat_get_tuples_deleted(t.oid)), 0)::bigint AS row_writes
FROM unnest(%(oids)s::oid[]) AS t (oid)
