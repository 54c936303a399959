-- Settings of applications that the database, the role or the options of this connection set. The server's view
-- pg_settings lists those of loaded extensions (Citus hides some), but not those that only a name with a period made.
SELECT DISTINCT s.name
FROM (
    SELECT pg_catalog.split_part(c.config, '=', 1) AS name
    FROM pg_catalog.pg_db_role_setting AS d
    CROSS JOIN LATERAL pg_catalog.unnest(d.setconfig) AS c (config)
    WHERE d.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
      AND d.setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user))
    UNION ALL
    SELECT o.name FROM pg_catalog.unnest(%(options)s::text[]) AS o (name)
) AS s
WHERE s.name LIKE '%%.%%' AND s.name NOT LIKE 'orgrecon.%%' AND s.name NOT LIKE 'citus.%%'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_settings AS p WHERE pg_catalog.lower(p.name) = pg_catalog.lower(s.name))
  AND pg_catalog.current_setting(s.name, true) <> ''
ORDER BY s.name
