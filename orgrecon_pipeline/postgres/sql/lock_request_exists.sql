-- Whether the transaction of a lock request still waits for a lock or holds one. The process that replays the WAL of a
-- standby always holds that of its virtual transaction.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_locks AS l
    WHERE l.pid = %(pid)s AND l.virtualtransaction = %(virtualtransaction)s AND l.locktype <> 'virtualxid'
) AS exists
