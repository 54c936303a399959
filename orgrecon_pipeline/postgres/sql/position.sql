-- First SELECT of a transaction: takes the snapshot, and returns its time and its position in the WAL: of a primary, what
-- is flushed and the timeline; of a standby, what is replayed.
SELECT pg_catalog.clock_timestamp() AS observed_at,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
            ELSE pg_catalog.pg_current_wal_flush_lsn() END::text AS lsn,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL
            ELSE ('x' || pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_flush_lsn()), 8))
                 ::bit(32)::int END AS timeline
