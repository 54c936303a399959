-- Age of the latest heartbeat by this server's clock, in seconds: unlike an interval, that can express infinity and any
-- year.
SELECT pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())
           - pg_catalog.date_part('epoch', pg_catalog.max(h.at)) AS age_seconds,
       pg_catalog.pg_typeof(pg_catalog.max(h.at))::text AS type
FROM (SELECT ({at}) AS at FROM {heartbeat} {where}) AS h
