-- Export the snapshot for other sessions. It is valid until this transaction ends.
SELECT pg_catalog.pg_export_snapshot() AS snapshot
