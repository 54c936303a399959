-- Names of the declared tenants in ascending order, each ended by a zero byte, in pieces of 1 MiB.
SELECT has_null, substr(names, piece_index * 1048576 + 1, 1048576) AS piece
FROM (
    SELECT string_agg(name, '\x00'::bytea) || '\x00'::bytea AS names,
           coalesce(bool_or(name IS NULL), false) AS has_null
    FROM (
        SELECT pg_catalog.convert_to(tenant, 'UTF8') AS name FROM ({tenants}) AS declared ORDER BY {sort_key}
    ) AS sorted
) AS arrays
CROSS JOIN LATERAL generate_series(0, coalesce(octet_length(names), 0) / 1048576) AS pieces (piece_index)
