-- Lock requests that wait for some backends and for which others must wait. Only ACCESS EXCLUSIVE conflicts with the
-- locks of a comparison. A statement that waits for its snapshot, such as CREATE INDEX CONCURRENTLY, holds up readers
-- and writers only if another request waits for that statement.
WITH waiting AS MATERIALIZED (
    SELECT l.pid, l.virtualtransaction, l.locktype, l.mode, l.database, l.relation
    FROM pg_catalog.pg_locks AS l
    WHERE NOT l.granted AND l.pid <> ALL (%(backends)s::int[])
), direct AS MATERIALIZED (
    SELECT w.*
    FROM waiting AS w
    WHERE (w.locktype = 'virtualxid' OR w.mode = 'AccessExclusiveLock')
      AND (pg_catalog.pg_blocking_pids(w.pid) && %(backends)s::int[]
           -- On a standby, the process that replays the WAL waits. It is not a backend, so that function ignores it.
           OR pg_catalog.pg_is_in_recovery() AND EXISTS (
               SELECT FROM pg_catalog.pg_locks AS h
               WHERE h.granted AND h.pid = ANY (%(backends)s::int[]) AND h.relation = w.relation
           ))
), requests AS (
    SELECT d.* FROM direct AS d WHERE d.locktype <> 'virtualxid'
    UNION
    SELECT w.*
    FROM waiting AS w
    WHERE w.locktype = 'relation'
      AND w.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
      AND EXISTS (SELECT FROM direct AS d WHERE d.pid = ANY (pg_catalog.pg_blocking_pids(w.pid)))
)
SELECT r.pid, r.virtualtransaction, r.mode, n.nspname || '.' || c.relname AS relation, a.query
FROM requests AS r
LEFT JOIN pg_catalog.pg_database AS b ON b.oid = r.database AND b.datname = pg_catalog.current_database()
LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = r.relation AND b.oid IS NOT NULL
LEFT JOIN pg_catalog.pg_class AS c ON c.oid = coalesce(i.indrelid, r.relation) AND b.oid IS NOT NULL
LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN LATERAL pg_catalog.pg_stat_get_activity(r.pid) AS a ON true
ORDER BY r.pid, r.relation
