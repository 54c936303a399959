-- The fingerprints of one side: totals, and for each tenant, in the order of their names, the name, its rows and the two
-- numbers that its fingerprint is, each packed as one value. There can be a million, and these are compared with those of
-- the other side in no time. They come in pieces, because a client holds a row three times while it reads it.
SELECT n, null_keys, values, part, substr(whole, place * 1048576 + 1, 1048576) AS piece
FROM (
    SELECT coalesce(sum(n), 0)::bigint AS n,
           coalesce(sum(CASE WHEN name IS NULL THEN n ELSE null_keys END), 0)::bigint AS null_keys,
           ARRAY[{all_values}]::bigint[] AS values,
           string_agg(name, '\x00'::bytea) || '\x00'::bytea AS names,
           string_agg(int8send(n), '') FILTER (WHERE name IS NOT NULL) AS rows,
           string_agg(int8send(coalesce({high}, 0)), '') FILTER (WHERE name IS NOT NULL) AS highs,
           string_agg(int8send(coalesce({low}, 0)), '') FILTER (WHERE name IS NOT NULL) AS lows
    FROM (
        SELECT *, pg_catalog.convert_to({tenant_text}, 'UTF8') AS name
        FROM (
            {side}
        ) AS side
        ORDER BY {in_order}
    ) AS named
) AS packed
CROSS JOIN LATERAL (VALUES ('names', names), ('rows', rows), ('highs', highs), ('lows', lows)) AS parts (part, whole)
CROSS JOIN LATERAL generate_series(0, coalesce(octet_length(whole), 0) / 1048576) AS pieces (place)
