-- The keys of one side for the tenants given, by their digests: how many copies, and the digests of their rows summed
-- as a set and as a multiset.
SELECT tenant, key_digest, sum(copies)::bigint AS n, sum(row_digest)::text AS as_set,
       sum(row_digest * copies)::text AS as_multiset
FROM (
    SELECT {tenant_text} AS tenant, {key_digest} AS key_digest, {row_digest}::numeric AS row_digest, count(*) AS copies
    FROM ({side}) AS r
    {which}
    GROUP BY 1, 2, 3
) AS variants
GROUP BY tenant, key_digest
ORDER BY pg_catalog.convert_to(tenant, 'UTF8'), key_digest
