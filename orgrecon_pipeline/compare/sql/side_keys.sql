-- The rows of one side of the given tenants, as alternating int8 hashes of key and row in binary form. Hashes of rows are
-- folded to 62 bits, as states are. The rows of a tenant are divided into chunks by their keys, so that a client need not
-- hold a large tenant.
WITH hashed AS {materialized} (
    SELECT {tenant_text} AS tenant, {chunk} AS chunk, key_hash, row_hash
    FROM (
        SELECT r.tenant_id, {key_hash} AS key_hash, {row_hash} AS row_hash FROM ({side}) AS r
        {no_rows}
    ) AS every_row
    {selection}
)
SELECT tenant, chunk, string_agg(int8send(key_hash) || int8send(row_hash & 4611686018427387903), '') AS hashes
FROM hashed
GROUP BY tenant, chunk
ORDER BY pg_catalog.convert_to(tenant, 'UTF8'), chunk
