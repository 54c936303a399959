-- The fingerprints of one side as a stream: one row a tenant, in the order of their names.
SELECT {tenant_text} AS tenant, n, null_keys, coalesce(print, 0)::text AS print, ARRAY[{values}]::bigint[] AS values
FROM (
    {side}
) AS side
ORDER BY pg_catalog.convert_to({tenant_text}, 'UTF8')
