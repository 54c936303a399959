-- One pass over one side: per tenant the number of rows, and an order-free fingerprint of them. The digest is NULL for a
-- row whose key is. The branch that never yields a row shows the planner a table as large as any that is read: what it
-- believes about a join in the mapping can be short by a factor of a thousand, and it then groups in one process, or
-- sorts. And below a UNION ALL the digest is made once a row, and not once for every aggregate.
SELECT tenant_id, count(*) AS n, count(*) - count(digest) AS null_keys, {prints} {count_values}
FROM (
    SELECT tenant_id, {digest} AS digest {with_value} FROM ({side}) AS r
    UNION ALL
    SELECT {no_tenant}, NULL::bigint {without_value} FROM {largest} WHERE pg_catalog.now() IS NULL
) AS digested
GROUP BY tenant_id
