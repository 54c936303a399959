-- All rows of the given drifting keys, key by key: the side, the tenant and the key as text, and a number for each
-- compared value. Equal values have equal numbers, so that no value leaves the database.
SELECT key_hash, on_source, {tenant_text} AS tenant, ARRAY[{key_texts}] AS key, ARRAY[{value_numbers}]::bigint[]
FROM (SELECT every_row.*, {key_hash} AS key_hash FROM ({rows}) AS every_row) AS hashed
{only_tracked}
ORDER BY key_hash
