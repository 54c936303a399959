-- Replay position of a standby. A role without pg_read_all_stats cannot see the columns of pg_stat_wal_receiver.
SELECT pg_catalog.pg_last_xact_replay_timestamp() AS replayed_at,
       pg_catalog.pg_last_wal_replay_lsn()::text AS replay_lsn,
       pg_catalog.pg_last_wal_receive_lsn()::text AS receive_lsn,
       extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp())::float8
           AS age_seconds,
       pg_catalog.pg_is_wal_replay_paused() AS paused,
       coalesce(pg_catalog.pg_last_wal_receive_lsn() > pg_catalog.pg_last_wal_replay_lsn(), false) AS pending,
       EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver) AS receiving,
       (SELECT extract(epoch FROM pg_catalog.clock_timestamp() - w.last_msg_receipt_time)::float8
        FROM pg_catalog.pg_stat_wal_receiver AS w
        WHERE w.status = 'streaming' AND w.latest_end_lsn <= pg_catalog.pg_last_wal_replay_lsn())
           AS caught_up_seconds
