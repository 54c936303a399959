-- By key, for the tenants given, where keys are unique. Two copies of a key would meet in several pairs: that shows,
-- because what is found then does not make up the balance of the tenant's fingerprints (see joined.py for why).
WITH rows_apart AS (
    SELECT coalesce(s.tenant_id, t.tenant_id) AS tenant_id {either_key},
           {source_digest} AS source_digest, {target_digest} AS target_digest
    FROM ({source}) AS s
    FULL JOIN ({target}) AS t ON s.tenant_id = t.tenant_id {same_key}
    WHERE s.tenant_id IS NULL OR t.tenant_id IS NULL {other_values}
), keys_apart AS (
    SELECT {tenant_text} AS tenant, {key_digest} AS key_digest,
           count(source_digest) AS n, count(target_digest) AS m,
           coalesce(sum(source_digest), 0) AS source_state, coalesce(sum(target_digest), 0) AS target_state
    FROM rows_apart
    GROUP BY 1, 2
)
SELECT tenant,
       count(*) FILTER (WHERE m = 0) AS missing,
       count(*) FILTER (WHERE n = 0) AS unexpected,
       count(*) FILTER (WHERE n = 1 AND m = 1) AS mismatched,
       count(*) FILTER (WHERE n > 0 AND m > 0 AND (n > 1 OR m > 1)) AS in_several_pairs,
       sum(source_state - target_state)::text AS balance,
       string_agg(int8send(key_digest), '') AS keys,
       string_agg(int8send((source_state %% 4611686018427387904)::bigint), '') AS source_states,
       string_agg(int8send((target_state %% 4611686018427387904)::bigint), '') AS target_states
FROM keys_apart
GROUP BY tenant
