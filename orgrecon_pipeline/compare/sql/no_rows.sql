-- Second branch of a scan, which never returns a row: it makes the planner expect as many rows as the largest table has,
-- and compute the hash once per row (docs/architecture.md).
UNION ALL
SELECT {columns} FROM {largest} WHERE pg_catalog.now() IS NULL
