-- Whether the transaction of a lock request still waits for a lock or holds one.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_locks AS l WHERE l.pid = %(pid)s AND l.virtualtransaction = %(virtualtransaction)s
) AS exists
