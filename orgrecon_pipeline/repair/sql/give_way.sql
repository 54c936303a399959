
-- Give way to a migration: while it waits for this batch, all readers wait behind it.
DO $orgrecon$
BEGIN
    IF EXISTS (
        SELECT FROM pg_catalog.pg_locks AS l
        WHERE NOT l.granted AND l.mode = 'AccessExclusiveLock'
          AND pg_catalog.pg_backend_pid() = ANY (pg_catalog.pg_blocking_pids(l.pid))
    ) THEN
        RAISE EXCEPTION 'orgrecon: another session, such as a migration, waits for this batch, which was rolled back: run this file again';
    END IF;
END
$orgrecon$;
