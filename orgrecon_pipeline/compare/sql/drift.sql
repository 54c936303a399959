-- Drifting keys of the given tenants. GROUP BY instead of a join: it handles NULLs, duplicates and every hashable type,
-- and finds the equality operator by operator class, which works with an empty search_path.
WITH both_sides AS (
    SELECT * FROM (
        SELECT r.*, 1 AS on_source, 0 AS on_target FROM ({source}) AS r
        UNION ALL
        SELECT r.*, 0 AS on_source, 1 AS on_target FROM ({target}) AS r
    ) AS every_row
    {only_tracked}
), variants AS (
    -- One row per distinct row, with its copies on each side. Each row is hashed, not the group: equal values can be
    -- written differently (0 and -0, 1.0 and 1.00), and a group shows any of them.
    SELECT tenant_id {comma_bare_tenant}, {keys}, sum(on_source) AS source_copies, sum(on_target) AS target_copies,
           min({key_hash}) AS key_hash,
           sum({row_hash} * on_source) AS source_state, sum({row_hash} * on_target) AS target_state
    FROM both_sides
    GROUP BY tenant_id {comma_bare_tenant}, {keys} {comma_values}
), drifting_keys AS (
    SELECT tenant_id, sum(source_copies) AS source_copies, sum(target_copies) AS target_copies,
           bool_or((source_copies = 0) <> (target_copies = 0)) AS sets_differ,
           min(key_hash) AS key_hash,
           sum(source_state) AS source_state, sum(target_state) AS target_state
    FROM variants
    GROUP BY tenant_id {comma_bare_tenant}, {keys}
    HAVING bool_or(source_copies <> target_copies)
), drift AS {materialized} (
    -- The state of a key on one side is the sum of its row hashes, folded to 62 bits; 0 if it has no rows there.
    SELECT {tenant_text} AS tenant, key_hash,
           (target_copies = 0)::int AS missing,
           (source_copies = 0)::int AS unexpected,
           (source_copies > 0 AND target_copies > 0 AND (source_copies = target_copies OR sets_differ))::int
               AS mismatched,
           CASE WHEN source_copies > 0 AND target_copies > 0 THEN abs(source_copies - target_copies) ELSE 0 END
               AS duplicate,
           mod(mod(source_state, 4611686018427387904) + 4611686018427387904, 4611686018427387904)::bigint AS source_state,
           mod(mod(target_state, 4611686018427387904) + 4611686018427387904, 4611686018427387904)::bigint AS target_state
    FROM drifting_keys
), tracked AS (
    SELECT * FROM unnest(%(tracked_keys)s::bigint[], %(source_states)s::bigint[], %(target_states)s::bigint[],
                         %(changed)s::bigint[])
        AS tracked (key_hash, source_state, target_state, changed)
), counted AS (
    -- A key is in flux if both its source (1) and its target (2) were ever read changed: that can be a lag, or a loss
    -- followed by a later write. A change stays recorded if the state returns. Parameter "untracked" says which sides
    -- of untracked keys count as changed; if it is NULL, a recheck returns only tracked keys.
    SELECT drift.tenant, drift.key_hash, missing, unexpected, mismatched, duplicate,
           drift.source_state AS source_now, drift.target_state AS target_now,
           coalesce(tracked.source_state, drift.source_state) AS source_state,
           coalesce(tracked.target_state, drift.target_state) AS target_state,
           coalesce(tracked.changed | (tracked.source_state <> drift.source_state)::integer
                                    | 2 * (tracked.target_state <> drift.target_state)::integer,
                    %(untracked)s::bigint)::bigint AS changed
    FROM drift
    LEFT JOIN tracked ON tracked.key_hash = drift.key_hash
    WHERE tenant = ANY (%(tenants)s::text[]) AND (tracked.key_hash IS NOT NULL OR %(untracked)s::bigint IS NOT NULL)
)
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
