-- For other sessions to join: it lasts as long as this transaction.
SELECT pg_catalog.pg_export_snapshot() AS snapshot
