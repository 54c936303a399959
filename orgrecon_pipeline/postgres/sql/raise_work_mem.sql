-- Room for the statements that follow in this transaction, unless the role has more.
SELECT pg_catalog.set_config('work_mem', %(room)s, true)
WHERE pg_catalog.pg_size_bytes(pg_catalog.current_setting('work_mem')) < pg_catalog.pg_size_bytes(%(room)s)
