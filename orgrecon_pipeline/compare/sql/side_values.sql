-- Compared values of one side as text, for the given keys.
SELECT {key_hash} AS key_hash, ARRAY[{value_texts}]::text[] AS values
FROM ({side}) AS r
WHERE {key_hash} = ANY (%(tracked_keys)s::bigint[])
