-- The fingerprints of one side as a stream: one row per tenant, ordered by the UTF-8 bytes of its name.
WITH side AS {materialized} (
    {side}
)
SELECT {tenant_text} AS tenant, row_count, null_keys, coalesce(fingerprint, 0)::text AS fingerprint,
       ARRAY[{values}]::bigint[] AS values
FROM side
ORDER BY pg_catalog.convert_to({tenant_text}, 'UTF8')
