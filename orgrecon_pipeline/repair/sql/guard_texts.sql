DO ${tag}$
#variable_conflict use_column
DECLARE
    orgrecon_found text;
BEGIN
    -- The comparison takes texts for different that are not the same; a statement here would take these for equal.
    WITH RECURSIVE kinds AS (
        SELECT a.attname, t.oid, t.typname, t.typbasetype, t.typelem, a.attcollation AS collation
        FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
        WHERE a.attrelid IN ({views}) AND a.attname = ANY ({columns})
        UNION
        SELECT k.attname, t.oid, t.typname, t.typbasetype, t.typelem, t.typcollation
        FROM kinds AS k JOIN pg_type AS t ON t.oid IN (k.typbasetype, k.typelem)
    )
    SELECT format('%s is %s', k.attname, coalesce('of the collation ' || c.collname, k.typname::text))
    INTO orgrecon_found
    FROM kinds AS k
    LEFT JOIN pg_collation AS c ON c.oid = k.collation AND to_jsonb(c) ->> 'collisdeterministic' = 'false'
    WHERE c.oid IS NOT NULL OR k.typname = 'citext';
    IF orgrecon_found IS NOT NULL THEN
        RAISE EXCEPTION 'orgrecon: {entity}: %, which calls different texts equal: heal these rows by hand',
            orgrecon_found;
    END IF;
END
${tag}$;
