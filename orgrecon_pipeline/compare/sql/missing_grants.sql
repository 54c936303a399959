-- The missing grants on what a message of the server names. If it names a table that the open transaction has analysed,
-- also the missing grants on the other analysed tables. A view reads with the privileges of its owner.
WITH analysed AS (
    SELECT DISTINCT c.oid, c.relname, c.relkind, c.relowner, n.nspname
    FROM pg_catalog.pg_locks AS l
    JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND c.relkind IN ('r', 'p', 'v')
      AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
      AND n.nspname <> 'pg_catalog'
), behind AS (
    SELECT d.refobjid AS oid, v.relowner AS owner, v.nspname AS schema, v.relname AS view
    FROM analysed AS v
    JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = v.oid
    JOIN pg_catalog.pg_depend AS d ON d.objid = r.oid AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
        AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> v.oid
    WHERE v.relkind = 'v'
), missing AS (
    SELECT 'USAGE ON SCHEMA' AS privilege, pg_catalog.quote_ident(nspname) AS object, nspname::text AS name,
           NULL::text AS view, current_user::text AS role, false AS analysed, false AS hidden
    FROM pg_catalog.pg_namespace
    WHERE NOT pg_catalog.has_schema_privilege(oid, 'USAGE')
    UNION ALL
    SELECT 'EXECUTE ON FUNCTION', pg_catalog.format('%%I.%%I(%%s)', n.nspname, p.proname,
           pg_catalog.oidvectortypes(p.proargtypes)), p.proname, NULL, current_user, false, false
    FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    WHERE pg_catalog.strpos(%(message)s, p.proname) > 0 AND NOT pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
    UNION ALL
    SELECT 'SELECT ON', pg_catalog.format('pg_catalog.%%I', relname), relname, NULL, current_user, false, false
    FROM pg_catalog.pg_class
    WHERE relnamespace = 'pg_catalog'::pg_catalog.regnamespace AND relkind IN ('r', 'v')
      AND NOT pg_catalog.has_table_privilege(oid, 'SELECT')
    UNION ALL
    SELECT 'SELECT ON', pg_catalog.format('%%I.%%I', a.nspname, a.relname), a.relname, NULL, current_user, true,
           EXISTS (SELECT FROM behind AS b WHERE b.oid = a.oid)
    FROM analysed AS a
    WHERE NOT pg_catalog.has_table_privilege(a.oid, 'SELECT')
    UNION ALL
    SELECT 'SELECT ON', pg_catalog.format('%%I.%%I', a.nspname, a.relname), a.relname,
           pg_catalog.format('%%I.%%I', b.schema, b.view), pg_catalog.pg_get_userbyid(b.owner), true, true
    FROM behind AS b JOIN analysed AS a ON a.oid = b.oid
    WHERE NOT pg_catalog.has_any_column_privilege(b.owner, a.oid, 'SELECT')
)
SELECT privilege, object, view, role, named, analysed
FROM (SELECT *, pg_catalog.strpos(%(message)s, name) > 0 AS named FROM missing) AS m
WHERE named OR (analysed AND NOT hidden)
ORDER BY named DESC, pg_catalog.length(name) DESC, view IS NULL, object
