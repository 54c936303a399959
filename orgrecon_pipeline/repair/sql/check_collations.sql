-- {entity}: abort if a column compares different texts as equal.
DO ${tag}$
#variable_conflict use_column
DECLARE
    orgrecon_problem text;
BEGIN
    -- The comparison tells texts apart byte by byte. Under these types the statements of the repair would not.
    WITH RECURSIVE types AS (
        SELECT a.attname, t.oid, t.typname, t.typbasetype, t.typelem, a.attcollation AS collation
        FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
        WHERE a.attrelid IN ({views}) AND a.attname = ANY ({columns})
        UNION
        SELECT k.attname, t.oid, t.typname, t.typbasetype, t.typelem, t.typcollation
        FROM types AS k JOIN pg_type AS t ON t.oid IN (k.typbasetype, k.typelem)
    )
    SELECT format('%s has the %s', k.attname, coalesce('collation ' || c.collname, 'type ' || k.typname))
    INTO orgrecon_problem
    FROM types AS k
    LEFT JOIN pg_collation AS c ON c.oid = k.collation AND to_jsonb(c) ->> 'collisdeterministic' = 'false'
    WHERE c.oid IS NOT NULL OR k.typname = 'citext';
    IF orgrecon_problem IS NOT NULL THEN
        RAISE EXCEPTION 'orgrecon: {entity}: %, which compares different texts as equal: repair these rows by hand',
            orgrecon_problem;
    END IF;
END
${tag}$;
