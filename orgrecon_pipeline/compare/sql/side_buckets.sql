-- One side of the given tenants by bucket of keys: the number of rows and their fingerprint. Buckets that agree need
-- not be read key by key. The hash includes the tenant: if a row belongs to another tenant on the other side, its two
-- differences must not cancel out.
SELECT bucket, count(*) AS row_count, sum(row_hash)::text AS fingerprint
FROM (
    SELECT {bucket} AS bucket, {row_hash} AS row_hash FROM ({side}) AS r
    {no_rows}
) AS hashed
GROUP BY bucket
ORDER BY bucket
