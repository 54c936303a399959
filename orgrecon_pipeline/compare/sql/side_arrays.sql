-- The fingerprints of one side as arrays in binary form: totals, and for all tenants, ordered by name, the name, the
-- number of rows and the two numbers of the fingerprint. So a million tenants of both sides are compared as bytes.
-- In pieces of 1 MiB, because a client holds a row three times while it reads it.
WITH side AS {materialized} (
    {side}
)
SELECT row_count, null_keys, values, part, substr(whole, piece_index * 1048576 + 1, 1048576) AS piece
FROM (
    SELECT coalesce(sum(row_count), 0)::bigint AS row_count,
           coalesce(sum(CASE WHEN name IS NULL THEN row_count ELSE null_keys END), 0)::bigint AS null_keys,
           ARRAY[{value_totals}]::bigint[] AS values,
           string_agg(name, '\x00'::bytea) || '\x00'::bytea AS names,
           string_agg(int8send(row_count), '') FILTER (WHERE name IS NOT NULL) AS rows,
           string_agg(int8send(coalesce({high}, 0)), '') FILTER (WHERE name IS NOT NULL) AS highs,
           string_agg(int8send(coalesce({low}, 0)), '') FILTER (WHERE name IS NOT NULL) AS lows
    FROM (
        SELECT *, pg_catalog.convert_to({tenant_text}, 'UTF8') AS name
        FROM side
        ORDER BY {sort_key}
    ) AS sorted
) AS arrays
CROSS JOIN LATERAL (VALUES ('names', names), ('rows', rows), ('highs', highs), ('lows', lows)) AS parts (part, whole)
CROSS JOIN LATERAL generate_series(0, coalesce(octet_length(whole), 0) / 1048576) AS pieces (piece_index)
