-- Context columns of one side as text, for the given keys: the first distinct copies of each key. Texts are cut, and
-- marked as cut by their length.
SELECT key_hash, context
FROM (
    SELECT key_hash, context, row_number() OVER (PARTITION BY key_hash ORDER BY context) AS number_in_key
    FROM (
        SELECT DISTINCT {key_hash} AS key_hash, ARRAY[{context}]::text[] AS context
        FROM ({side}) AS r
        WHERE {key_hash} = ANY (%(tracked_keys)s::bigint[])
    ) AS copies
) AS numbered
WHERE number_in_key <= %(limit)s
ORDER BY key_hash, number_in_key
