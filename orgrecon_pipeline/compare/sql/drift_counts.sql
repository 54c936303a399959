-- Per tenant: the keys of each kind that are not in flux, and all drifting keys in ascending order, as int8 arrays in
-- binary form. An array value would take eight times the bytes.
SELECT tenant,
       (sum(missing) FILTER (WHERE changed < 3))::bigint AS missing,
       (sum(unexpected) FILTER (WHERE changed < 3))::bigint AS unexpected,
       (sum(mismatched) FILTER (WHERE changed < 3))::bigint AS mismatched,
       (sum(duplicate) FILTER (WHERE changed < 3))::bigint AS duplicate,
       string_agg(int8send(key_hash), '') AS keys, string_agg(int8send(changed), '') AS changed,
       string_agg(int8send(source_state), '') AS source_states, string_agg(int8send(target_state), '') AS target_states,
       string_agg(int8send(source_now), '') AS source_now, string_agg(int8send(target_now), '') AS target_now
FROM (SELECT * FROM counted ORDER BY tenant, key_hash) AS sorted
GROUP BY tenant
