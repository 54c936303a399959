-- Whether the server seems to run on the machine of its client, and how many processes one scan may use. Over a
-- Unix socket, both addresses are NULL.
SELECT pg_catalog.inet_server_addr() IS NOT DISTINCT FROM pg_catalog.inet_client_addr() AS on_this_machine,
       1 + least(pg_catalog.current_setting('max_parallel_workers_per_gather')::integer,
                 pg_catalog.current_setting('max_parallel_workers')::integer) AS processes
