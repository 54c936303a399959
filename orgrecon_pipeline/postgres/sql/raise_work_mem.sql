-- Raise work_mem for the rest of the transaction, unless the role has more.
SELECT pg_catalog.set_config('work_mem', %(work_mem)s, true)
WHERE pg_catalog.pg_size_bytes(pg_catalog.current_setting('work_mem')) < pg_catalog.pg_size_bytes(%(work_mem)s)
