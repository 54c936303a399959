-- One compared column, by the same rule as whole rows.
SELECT key_hash, {column_name} AS column_name,
       string_agg(value::text, ' | ' ORDER BY value::text COLLATE pg_catalog."C")
           FILTER (WHERE source_copies > 0) AS source_value,
       string_agg(value::text, ' | ' ORDER BY value::text COLLATE pg_catalog."C")
           FILTER (WHERE target_copies > 0) AS target_value
FROM (
    SELECT key_hash, {column} AS value, sum(on_source) AS source_copies, sum(on_target) AS target_copies
    FROM rows_of_keys
    GROUP BY key_hash, {column}
) AS copies
GROUP BY key_hash
HAVING bool_or((source_copies = 0) <> (target_copies = 0))
    OR (sum(source_copies) = sum(target_copies) AND bool_or(source_copies <> target_copies))
