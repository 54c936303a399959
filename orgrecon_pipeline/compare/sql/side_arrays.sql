-- The fingerprints of one side as arrays in binary form: totals, and for all tenants, ordered by name, the name, the
-- number of rows and the two numbers of the fingerprint. So a million tenants of both sides are compared as bytes.
-- In pieces of 1 MiB, because a client holds a row three times while it reads it. By functions in the SELECT lists:
-- before PostgreSQL 18, the cost of a disabled nested loop hides the costs of all plans for the scan.
WITH side AS {materialized} (
    {side}
)
SELECT row_count, null_keys, values, part, substr(whole, piece_index * 1048576 + 1, 1048576) AS piece
FROM (
    SELECT *, generate_series(0, coalesce(octet_length(whole), 0) / 1048576) AS piece_index
    FROM (
        SELECT row_count, null_keys, values, part,
               CASE part WHEN 'names' THEN names WHEN 'rows' THEN rows WHEN 'highs' THEN highs ELSE lows END AS whole
        FROM (
            SELECT *, unnest(ARRAY['names', 'rows', 'highs', 'lows']) AS part
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
        ) AS parts
    ) AS wholes
) AS pieces
