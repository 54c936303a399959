-- One pass over each side: per tenant the number of rows and an order-free fingerprint of them, joined here.
-- What comes back: one 'totals' row, one row per tenant that differs, and the first clean tenants.
WITH source AS (
    SELECT tenant_id, count(*) AS n, sum({digest}) AS fingerprint,
           count(*) FILTER (WHERE {key_is_null}) AS null_keys {count_values}
    FROM ({source}) AS r
    GROUP BY tenant_id
), target AS (
    SELECT tenant_id, count(*) AS n, sum({digest}) AS fingerprint,
           count(*) FILTER (WHERE {key_is_null}) AS null_keys {count_values}
    FROM ({target}) AS r
    GROUP BY tenant_id
), tenants AS MATERIALIZED (
    SELECT coalesce(s.tenant, t.tenant) AS tenant,
           coalesce(s.n, 0) AS source_rows, coalesce(t.n, 0) AS target_rows,
           coalesce(s.null_keys, 0) AS source_null_keys, coalesce(t.null_keys, 0) AS target_null_keys,
           (s.n, s.fingerprint) IS DISTINCT FROM (t.n, t.fingerprint) AS differs {values}
    FROM (SELECT source.*, {tenant_text} AS tenant FROM source) AS s
    FULL JOIN (SELECT target.*, {tenant_text} AS tenant FROM target) AS t ON s.tenant = t.tenant
)
SELECT 'totals' AS part, NULL AS tenant, sum(source_rows)::bigint AS source_rows, sum(target_rows)::bigint AS target_rows,
       sum(source_null_keys)::bigint AS source_null_keys, sum(target_null_keys)::bigint AS target_null_keys,
       array_agg(tenant) FILTER (WHERE tenant IS NOT NULL) AS tenants, {sum_values} AS values
FROM tenants
UNION ALL
SELECT 'differs', tenant, source_rows, target_rows, source_null_keys, target_null_keys, NULL, NULL
FROM tenants
WHERE differs AND tenant IS NOT NULL
UNION ALL
(SELECT 'clean', tenant, source_rows, target_rows, source_null_keys, target_null_keys, NULL, NULL
 FROM tenants
 WHERE NOT differs AND tenant IS NOT NULL
 ORDER BY tenant
 LIMIT {clean_limit})
