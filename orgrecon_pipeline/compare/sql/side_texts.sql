-- Keys and compared values of one side as text, for the keys given.
SELECT {key_digest} AS key_digest, ARRAY[{key_texts}] AS key, ARRAY[{value_texts}]::text[] AS texts
FROM ({side}) AS r
WHERE {key_digest} = ANY (%(seen_keys)s::bigint[])
