-- Drift of the given tenants, if their keys are unique. Several copies of a key match in several pairs, which is
-- detected: the result then does not explain the difference of the fingerprints (docs/architecture.md).
WITH differing_rows AS (
    SELECT coalesce(s.tenant_id, t.tenant_id) AS tenant_id {either_key},
           {source_hash} AS source_hash, {target_hash} AS target_hash
    FROM ({source}) AS s
    FULL JOIN ({target}) AS t ON s.tenant_id = t.tenant_id {same_key}
    WHERE s.tenant_id IS NULL OR t.tenant_id IS NULL {other_values}
), differing_keys AS (
    SELECT {tenant_text} AS tenant, {key_hash} AS key_hash,
           count(source_hash) AS source_copies, count(target_hash) AS target_copies,
           coalesce(sum(source_hash), 0) AS source_state, coalesce(sum(target_hash), 0) AS target_state
    FROM differing_rows
    GROUP BY 1, 2
)
SELECT tenant,
       count(*) FILTER (WHERE target_copies = 0) AS missing,
       count(*) FILTER (WHERE source_copies = 0) AS unexpected,
       count(*) FILTER (WHERE source_copies = 1 AND target_copies = 1) AS mismatched,
       count(*) FILTER (WHERE source_copies > 0 AND target_copies > 0 AND (source_copies > 1 OR target_copies > 1))
           AS in_several_pairs,
       sum(source_state - target_state)::text AS balance,
       string_agg(int8send(key_hash), '') AS keys,
       string_agg(int8send((source_state %% 4611686018427387904)::bigint), '') AS source_states,
       string_agg(int8send((target_state %% 4611686018427387904)::bigint), '') AS target_states
FROM differing_keys
GROUP BY tenant
