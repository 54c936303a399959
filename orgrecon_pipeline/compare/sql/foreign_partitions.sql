-- Foreign tables among the partitions and children of the given tables.
WITH RECURSIVE child (oid) AS (
    SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = ANY (%(oids)s::oid[])
    UNION
    SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i JOIN child ON i.inhparent = child.oid
)
SELECT n.nspname AS schema, c.relname AS name
FROM child
JOIN pg_catalog.pg_class AS c ON c.oid = child.oid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'f'
ORDER BY n.nspname, c.relname
