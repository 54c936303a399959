-- Rows of each side for the tenants given: of those that drift in another entity only.
SELECT tenant, sum(on_source)::bigint AS source_rows, sum(on_target)::bigint AS target_rows
FROM (
    SELECT {tenant_text} AS tenant, 1 AS on_source, 0 AS on_target FROM ({source}) AS r
    UNION ALL
    SELECT {tenant_text} AS tenant, 0 AS on_source, 1 AS on_target FROM ({target}) AS r
) AS both_sides
WHERE tenant = ANY (%(tenants)s::text[])
GROUP BY tenant
