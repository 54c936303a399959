-- The server process of this transaction, and the start of its server in microseconds.
SELECT pg_catalog.pg_backend_pid() AS pid,
       (EXTRACT(epoch FROM pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint AS server
