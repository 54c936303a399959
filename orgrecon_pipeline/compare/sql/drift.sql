-- Exact, by key, for the tenants given. GROUP BY and not a join: it is exact for NULLs, duplicates and every
-- hashable type, and finds its equality by operator class, not by an operator's name in an empty search_path.
both_sides AS (
    SELECT * FROM (
        SELECT r.*, 1 AS on_source, 0 AS on_target FROM ({source}) AS r
        UNION ALL
        SELECT r.*, 0 AS on_source, 1 AS on_target FROM ({target}) AS r
    ) AS every_row
    {only_seen}
), variants AS (
    -- One row per distinct row, with its copies on each side. Digests are of the rows and not of the group: of values
    -- that are equal and written differently (0 and -0, 1.0 and 1.00) any may stand for it, in each read another.
    SELECT tenant_id, {keys}, sum(on_source) AS source_copies, sum(on_target) AS target_copies,
           min({key_digest}) AS key_digest,
           sum({state_digest} * on_source) AS source_state, sum({state_digest} * on_target) AS target_state
    FROM both_sides
    GROUP BY tenant_id, {keys} {comma_values}
), drifting_keys AS (
    SELECT tenant_id, {keys}, sum(source_copies) AS n, sum(target_copies) AS m,
           bool_or((source_copies = 0) <> (target_copies = 0)) AS sets_differ,
           min(key_digest) AS key_digest,
           sum(source_state) AS source_state, sum(target_state) AS target_state
    FROM variants
    GROUP BY tenant_id, {keys}
    HAVING bool_or(source_copies <> target_copies)
), drift AS (
    -- A state is that of the key's rows on one side, 0 for none; folded to 62 bits, as it only has to change with them.
    SELECT {tenant_text} AS tenant, {keys}, key_digest,
           (m = 0)::int AS missing,
           (n = 0)::int AS unexpected,
           (n > 0 AND m > 0 AND (n = m OR sets_differ))::int AS mismatched,
           CASE WHEN n > 0 AND m > 0 THEN abs(n - m) ELSE 0 END AS duplicate,
           (source_state %% 4611686018427387904)::bigint AS source_state,
           (target_state %% 4611686018427387904)::bigint AS target_state
    FROM drifting_keys
), seen AS (
    SELECT * FROM unnest(%(seen_keys)s::bigint[], %(seen_source)s::bigint[], %(seen_target)s::bigint[],
                         %(seen_changed)s::bigint[])
        AS seen (key_digest, source_state, target_state, changed)
), counted AS (
    -- A recheck reads only keys that were seen drifting before. One of which both sides (1 and 2) were ever seen changed
    -- since is in flux: the difference that was seen may be gone and this one another (a lag), or not (a loss, and a
    -- later write). A side can look again as it did: that it was seen changed is kept.
    SELECT drift.tenant, {keys}, drift.key_digest, missing, unexpected, mismatched, duplicate,
           drift.source_state AS source_now, drift.target_state AS target_now,
           coalesce(seen.source_state, drift.source_state) AS source_state,
           coalesce(seen.target_state, drift.target_state) AS target_state,
           coalesce(seen.changed | (seen.source_state <> drift.source_state)::integer
                                 | 2 * (seen.target_state <> drift.target_state)::integer, 0)::bigint AS changed
    FROM drift
    LEFT JOIN seen ON seen.key_digest = drift.key_digest
    WHERE tenant = ANY (%(tenants)s::text[]) AND (%(first_read)s OR seen.key_digest IS NOT NULL)
)
