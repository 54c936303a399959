-- One pass over one side, in the order of its tenants: what fingerprint.sql does, for a side that is by itself.
-- The empty branch keeps the planner from reckoning with what it believes about a join in the mapping.
SELECT * FROM (
    SELECT {tenant_text} AS tenant, count(*) AS n, count(*) FILTER (WHERE digest IS NULL) AS null_keys,
           coalesce(sum(digest), 0)::text AS print, ARRAY[{nulls}]::bigint[] AS nulls
    FROM (
        SELECT tenant_id {compared}, {digest} AS digest FROM ({side}) AS r
        UNION ALL
        SELECT tenant_id {compared}, {digest} AS digest FROM ({side}) AS r WHERE false
    ) AS one_side
    GROUP BY tenant_id
) AS grouped
ORDER BY tenant
