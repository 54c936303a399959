
-- {entity}: no repair can be derived from the mapping because {reason}.
-- This query lists the rows that exist on one side only.
SELECT 'source' AS only_in, d.* FROM (({source}) EXCEPT ALL ({target})) AS d
UNION ALL
SELECT 'target' AS only_in, d.* FROM (({target}) EXCEPT ALL ({source})) AS d
ORDER BY {order};
