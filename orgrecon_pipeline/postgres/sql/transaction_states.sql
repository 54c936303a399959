-- The state of transactions: committed, aborted or in progress.
SELECT xid, pg_catalog.pg_xact_status(xid::text::xid8) AS state
FROM pg_catalog.unnest(%(xids)s::bigint[]) AS transactions (xid)
