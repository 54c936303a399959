-- One pass over each side, grouped together: per tenant the number of rows and an order-free fingerprint of each side.
-- One GROUP BY over both, and not a join of two: the planner then groups in its parallel workers, however wrong it is
-- about a join in the mapping. The digest is NULL for a row whose key is; it stands below the UNION ALL, so that it is
-- made once a row, and not once for every aggregate.
-- What comes back: one 'totals' row, one row per tenant that differs, and the first clean tenants.
WITH tenants AS MATERIALIZED (
    SELECT {tenant_text} AS tenant,
           count(*) FILTER (WHERE on_source) AS source_rows, count(*) FILTER (WHERE NOT on_source) AS target_rows,
           count(*) FILTER (WHERE digest IS NULL AND on_source) AS source_null_keys,
           count(*) FILTER (WHERE digest IS NULL AND NOT on_source) AS target_null_keys,
           {prints} {count_nulls}
    FROM (
        SELECT true AS on_source, tenant_id {compared}, {digest} AS digest FROM ({source}) AS r
        UNION ALL
        SELECT false AS on_source, tenant_id {compared}, {digest} AS digest FROM ({target}) AS r
    ) AS both_sides
    GROUP BY tenant_id
)
SELECT 'totals' AS part, NULL AS tenant, sum(source_rows)::bigint AS source_rows, sum(target_rows)::bigint AS target_rows,
       sum(CASE WHEN tenant IS NULL THEN source_rows ELSE source_null_keys END)::bigint AS source_null_keys,
       sum(CASE WHEN tenant IS NULL THEN target_rows ELSE target_null_keys END)::bigint AS target_null_keys,
       NULL AS balance, array_agg(tenant) FILTER (WHERE tenant IS NOT NULL) AS tenants, {sum_nulls} AS nulls
FROM tenants
UNION ALL
SELECT 'differs', tenant, source_rows, target_rows, NULL, NULL, ({balance})::text, NULL, NULL
FROM tenants
WHERE (source_rows, {source_print}) <> (target_rows, {target_print}) AND tenant IS NOT NULL
UNION ALL
(SELECT 'clean', tenant, source_rows, target_rows, NULL, NULL, NULL, NULL, NULL
 FROM tenants
 WHERE (source_rows, {source_print}) = (target_rows, {target_print}) AND tenant IS NOT NULL
 ORDER BY tenant
 LIMIT {clean_limit})
