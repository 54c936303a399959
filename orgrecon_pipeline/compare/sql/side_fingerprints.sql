-- One pass over one side: per tenant, the number of rows and the sum of their hashes, which is independent of their
-- order. The hash is NULL if the key is. NULLs are counted instead of values: most values are not NULL, and a
-- false filter skips the aggregate.
SELECT tenant_id, count(*) AS row_count, count(*) FILTER (WHERE row_hash IS NULL) AS null_keys, {sums}
       {count_nulls}
FROM (
    SELECT tenant_id, {row_hash} AS row_hash {is_null} FROM ({side}) AS r
    {no_rows}
) AS hashed
GROUP BY tenant_id
