-- The identity of the database, and the time unless it was read with the position.
SELECT pg_catalog.clock_timestamp() AS observed_at,
       pg_catalog.pg_current_snapshot()::text AS snapshot,
       pg_catalog.current_database() AS database,
       pg_catalog.current_setting('server_version') AS server_version,
       pg_catalog.current_setting('server_version_num')::int AS server_version_num,
       (SELECT system_identifier FROM pg_catalog.pg_control_system())::text AS system_identifier,
       pg_catalog.pg_postmaster_start_time()::text AS started_at,
       pg_catalog.pg_is_in_recovery() AS in_recovery,
       coalesce(pg_catalog.current_setting('orgrecon.simulated', true), '') AS simulated
