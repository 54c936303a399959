-- One side for the tenants given, in buckets of keys: how many rows, and a fingerprint of them. Where the rows are many and
-- the drifting keys few, the buckets without any need not be read key by key. The tenant is in the digest as well: of a
-- row that is one tenant's here and another's there, the two differences must not make up for each other. Why nothing is
-- read from the largest table: side_sums.sql.
SELECT bucket, count(*) AS n, sum(digest)::text AS print
FROM (
    SELECT {bucket} AS bucket, {digest} AS digest FROM ({side}) AS r
    UNION ALL
    SELECT NULL::integer, NULL::bigint FROM {largest} WHERE pg_catalog.now() IS NULL
) AS digested
GROUP BY bucket
ORDER BY bucket
