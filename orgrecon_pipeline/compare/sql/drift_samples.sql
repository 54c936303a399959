-- The first keys of each kind, in the order of tenant and key.
SELECT tenant, kind, key_digest, {key_texts} AS key
FROM (
    SELECT counted.*, kinds.kind,
           row_number() OVER (PARTITION BY kinds.kind ORDER BY tenant, {key_texts}) AS place
    FROM counted
    CROSS JOIN LATERAL (VALUES ('missing', missing), ('unexpected', unexpected),
                               ('mismatched', mismatched), ('duplicate', duplicate)) AS kinds (kind, copies)
    WHERE kinds.copies > 0
) AS placed
WHERE place <= %(limit)s
ORDER BY tenant, key, kind
