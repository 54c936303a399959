-- The first keys of each kind, ordered by tenant and key.
SELECT tenant, kind, key_hash, {key_texts} AS key
FROM (
    SELECT counted.*, kinds.kind,
           row_number() OVER (PARTITION BY kinds.kind ORDER BY tenant, {key_texts}) AS number_in_kind
    FROM counted
    CROSS JOIN LATERAL (VALUES ('missing', missing), ('unexpected', unexpected),
                               ('mismatched', mismatched), ('duplicate', duplicate)) AS kinds (kind, copies)
    WHERE kinds.copies > 0
) AS numbered
WHERE number_in_kind <= %(limit)s
ORDER BY tenant, key, kind
