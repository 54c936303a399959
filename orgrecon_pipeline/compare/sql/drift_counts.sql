-- Per tenant: keys of each kind that are not in flux, and all keys as digests with their states, for the recheck.
-- The numbers are packed: as an array each would take eight times the room on its way.
SELECT tenant,
       (sum(missing) FILTER (WHERE changed < 3))::bigint AS missing,
       (sum(unexpected) FILTER (WHERE changed < 3))::bigint AS unexpected,
       (sum(mismatched) FILTER (WHERE changed < 3))::bigint AS mismatched,
       (sum(duplicate) FILTER (WHERE changed < 3))::bigint AS duplicate,
       string_agg(int8send(key_digest), '') AS keys, string_agg(int8send(changed), '') AS changed,
       string_agg(int8send(source_state), '') AS source_states, string_agg(int8send(target_state), '') AS target_states,
       string_agg(int8send(source_now), '') AS sources_now, string_agg(int8send(target_now), '') AS targets_now
FROM counted
GROUP BY tenant
