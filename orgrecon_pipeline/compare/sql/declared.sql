-- The declared universe in the order of its names, packed as one value, as there can be a million; in pieces.
SELECT has_null, substr(names, place * 1048576 + 1, 1048576) AS piece
FROM (
    SELECT string_agg(name, '\x00'::bytea) || '\x00'::bytea AS names, coalesce(bool_or(name IS NULL), false) AS has_null
    FROM (
        SELECT pg_catalog.convert_to(tenant, 'UTF8') AS name FROM ({tenants}) AS declared ORDER BY {in_order}
    ) AS named
) AS packed
CROSS JOIN LATERAL generate_series(0, coalesce(octet_length(names), 0) / 1048576) AS pieces (place)
