-- One pass over one side: per tenant, the number of rows and the sum of their hashes, which is independent of their
-- order. The hash is NULL if the key is. The second branch never returns a row: it makes the planner expect as many
-- rows as the largest table has, and compute the hash once per row (docs/architecture.md).
SELECT tenant_id, count(*) AS row_count, count(*) - count(row_hash) AS null_keys, {sums} {count_values}
FROM (
    SELECT tenant_id, {row_hash} AS row_hash {with_value} FROM ({side}) AS r
    UNION ALL
    SELECT {no_tenant}, NULL::bigint {without_value} FROM {largest} WHERE pg_catalog.now() IS NULL
) AS hashed
GROUP BY tenant_id
