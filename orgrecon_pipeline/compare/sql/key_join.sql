-- Drift of the given tenants, if their keys are unique: the keys of each tenant in ascending order, as int8 arrays in
-- binary form. Several copies of a key are detected: they match in several pairs, or the result does not explain the
-- difference of the fingerprints (docs/architecture.md). Only hashes are joined, because they are narrow.
WITH differing_rows AS {materialized} (
    SELECT coalesce(s.tenant_id, t.tenant_id) AS tenant_id, coalesce(s.key_hash, t.key_hash) AS key_hash,
           s.row_hash AS source_hash, t.row_hash AS target_hash
    FROM ({source}) AS s
    FULL JOIN ({target}) AS t ON s.key_hash = t.key_hash {same_tenant}
    WHERE s.row_hash IS DISTINCT FROM t.row_hash {other_values}
)
SELECT tenant,
       count(*) FILTER (WHERE target_hash IS NULL) AS missing,
       count(*) FILTER (WHERE source_hash IS NULL) AS unexpected,
       count(*) FILTER (WHERE source_hash IS NOT NULL AND target_hash IS NOT NULL) AS mismatched,
       (coalesce(sum(source_hash), 0) - coalesce(sum(target_hash), 0))::text AS balance,
       string_agg(int8send(key_hash), '') AS keys,
       string_agg(int8send(coalesce(source_hash & 4611686018427387903, 0)), '') AS source_states,
       string_agg(int8send(coalesce(target_hash & 4611686018427387903, 0)), '') AS target_states
FROM (SELECT {tenant_text} AS tenant, * FROM differing_rows ORDER BY tenant, key_hash) AS sorted
GROUP BY tenant
