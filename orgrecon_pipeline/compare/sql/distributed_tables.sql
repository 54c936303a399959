-- The given tables that Citus distributes. The statistics of the coordinator do not contain their rows.
SELECT logicalrelid::oid::bigint AS oid FROM pg_catalog.pg_dist_partition WHERE logicalrelid = ANY (%(oids)s::oid[])
