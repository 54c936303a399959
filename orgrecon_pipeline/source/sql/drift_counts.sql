-- Per tenant: keys of each kind, and the keys themselves as digests, for the recheck.
SELECT tenant, sum(missing)::bigint AS missing, sum(unexpected)::bigint AS unexpected,
       sum(mismatched)::bigint AS mismatched, sum(duplicate)::bigint AS duplicate,
       array_agg(key_digest) AS key_digests,
       array_agg(source_state) AS source_states, array_agg(target_state) AS target_states
FROM counted
GROUP BY tenant
