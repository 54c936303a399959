-- Buckets of keys whose rows differ between the sides, for the given tenants.
SELECT bucket
FROM ({source}) AS s
FULL JOIN ({target}) AS t USING (bucket)
WHERE s.row_count IS DISTINCT FROM t.row_count OR s.fingerprint IS DISTINCT FROM t.fingerprint
