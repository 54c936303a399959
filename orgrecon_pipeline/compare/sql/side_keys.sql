-- The keys of one side of the given tenants, as hashes: copies, and the sums of the row hashes as set and as multiset.
SELECT tenant, key_hash, sum(copies)::bigint AS copies, sum(row_hash)::text AS as_set,
       sum(row_hash * copies)::text AS as_multiset
FROM (
    SELECT {tenant_text} AS tenant, {key_hash} AS key_hash, {row_hash}::numeric AS row_hash, count(*) AS copies
    FROM ({side}) AS r
    {selection}
    GROUP BY 1, 2, 3
) AS variants
GROUP BY tenant, key_hash
ORDER BY pg_catalog.convert_to(tenant, 'UTF8'), key_hash
