
-- {entity}: no repair can be derived from the mapping, because {why}.
-- These are the rows that drift; every row of them is on one side only.
SELECT 'source' AS only_in, d.* FROM (({source}) EXCEPT ALL ({target})) AS d
UNION ALL
SELECT 'target' AS only_in, d.* FROM (({target}) EXCEPT ALL ({source})) AS d
ORDER BY {order};
