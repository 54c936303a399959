-- The hash of one row with a value of each hashed type, and the server's encoding. Two servers with equal answers hash
-- rows equally.
SELECT {row_hash} AS row_hash, pg_catalog.current_setting('server_encoding') AS encoding
FROM (SELECT 'Canary'::text COLLATE pg_catalog."C" AS a, '5d4bd1c8-1a1f-4cf2-8f0e-6f4f0b1f7a01'::uuid AS b,
             7::smallint AS c, -70000::integer AS d, -5000000000::bigint AS e, true AS f, 1.50::numeric AS g,
             '1999-12-31'::date AS h, '23:59:59.000001'::time AS i, '1999-12-31 23:59:59.000001'::timestamp AS j,
             '1999-12-31 23:59:59.000001+00'::timestamptz AS k, NULL::text AS l) AS probe
