-- One pass over one side: per tenant, the number of rows and the sum of their hashes, which is independent of their
-- order. The hash is NULL if the key is.
SELECT tenant_id, count(*) AS row_count, count(*) - count(row_hash) AS null_keys, {sums} {count_values}
FROM (
    SELECT tenant_id, {row_hash} AS row_hash {with_value} FROM ({side}) AS r
    {no_rows}
) AS hashed
GROUP BY tenant_id
