-- Whether compared columns differ, for the keys given. Their rows are few, and are looked for once for all columns.
WITH rows_of_keys AS MATERIALIZED (
    SELECT *
    FROM (
        SELECT r.*, {key_digest} AS key_digest, 1 AS on_source, 0 AS on_target FROM ({source}) AS r
        UNION ALL
        SELECT r.*, {key_digest} AS key_digest, 0 AS on_source, 1 AS on_target FROM ({target}) AS r
    ) AS both_sides
    WHERE key_digest = ANY (%(keys)s::bigint[])
)
{columns}
