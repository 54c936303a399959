-- Whether one compared column differs, for the keys given; the same rule as for the whole row.
SELECT key_digest, {column_name} AS column_name,
       string_agg(value::text, ' | ' ORDER BY value::text COLLATE pg_catalog."C") FILTER (WHERE source_copies > 0) AS source_value,
       string_agg(value::text, ' | ' ORDER BY value::text COLLATE pg_catalog."C") FILTER (WHERE target_copies > 0) AS target_value
FROM (
    SELECT key_digest, value, sum(on_source) AS source_copies, sum(on_target) AS target_copies
    FROM (
        SELECT {key_digest} AS key_digest, {column} AS value, on_source, on_target
        FROM (
            SELECT r.*, 1 AS on_source, 0 AS on_target FROM ({source}) AS r
            UNION ALL
            SELECT r.*, 0 AS on_source, 1 AS on_target FROM ({target}) AS r
        ) AS both_sides
    ) AS digested
    WHERE key_digest = ANY (%(keys)s::bigint[])
    GROUP BY key_digest, value
) AS copies
GROUP BY key_digest
HAVING bool_or((source_copies = 0) <> (target_copies = 0))
    OR (sum(source_copies) = sum(target_copies) AND bool_or(source_copies <> target_copies))
