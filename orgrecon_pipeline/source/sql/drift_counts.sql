-- Per tenant: keys of each kind that are not in flux, and all keys as digests with their states, for the recheck.
SELECT tenant,
       (sum(missing) FILTER (WHERE NOT in_flux))::bigint AS missing,
       (sum(unexpected) FILTER (WHERE NOT in_flux))::bigint AS unexpected,
       (sum(mismatched) FILTER (WHERE NOT in_flux))::bigint AS mismatched,
       (sum(duplicate) FILTER (WHERE NOT in_flux))::bigint AS duplicate,
       array_agg(key_digest) AS key_digests, array_agg(in_flux) AS in_flux,
       array_agg(source_state) AS source_states, array_agg(target_state) AS target_states,
       array_agg(source_now) AS sources_now, array_agg(target_now) AS targets_now
FROM counted
GROUP BY tenant
