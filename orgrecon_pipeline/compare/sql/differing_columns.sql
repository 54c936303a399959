-- The compared columns that differ, for the given keys. Their few rows are materialised once for all columns.
WITH rows_of_keys AS MATERIALIZED (
    SELECT *
    FROM (
        SELECT r.*, {key_hash} AS key_hash, 1 AS on_source, 0 AS on_target FROM ({source}) AS r
        UNION ALL
        SELECT r.*, {key_hash} AS key_hash, 0 AS on_source, 1 AS on_target FROM ({target}) AS r
    ) AS both_sides
    WHERE key_hash = ANY (%(keys)s::bigint[])
)
{columns}
