-- The schemas in which this role's search_path finds the tables, and the tables in each.
SELECT n.nspname, array_agg(c.relname ORDER BY c.relname)
FROM unnest(CAST(:names AS text[])) AS t (name)
JOIN pg_class c ON c.oid = to_regclass(t.name)
JOIN pg_namespace n ON n.oid = c.relnamespace
GROUP BY n.nspname
ORDER BY n.nspname
