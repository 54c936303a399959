
-- {entity}: abort if the target cannot be written, or if a write would have side effects.
DO ${tag}$
#variable_conflict use_column
DECLARE
    orgrecon_tables oid[];
    orgrecon_problem text;
BEGIN
    -- The target's table and all of its partitions.
    WITH RECURSIVE family AS (
        SELECT {table}::regclass::oid AS member
        UNION SELECT i.inhrelid FROM pg_inherits AS i JOIN family AS f ON i.inhparent = f.member
    ) SELECT array_agg(member) INTO orgrecon_tables FROM family;

    IF (SELECT relkind FROM pg_class WHERE oid = {table}::regclass) NOT IN ('r', 'p') THEN
        RAISE EXCEPTION 'orgrecon: {entity}: % is not a table: name the tables behind it in the mapping',
            {table}::regclass;
    END IF;

    SELECT format('%s of %s', a.attname, a.attrelid::regclass) INTO orgrecon_problem
    FROM pg_attribute AS a
    WHERE a.attrelid = {table}::regclass AND a.attname = ANY ({written})
      AND (a.attidentity = 'a' OR to_jsonb(a) ->> 'attgenerated' <> '');
    IF orgrecon_problem IS NOT NULL THEN
        RAISE EXCEPTION 'orgrecon: {entity}: % is generated and cannot be written: repair these rows by hand',
            orgrecon_problem;
    END IF;

    SELECT format('%s of %s', a.attname, a.attrelid::regclass) INTO orgrecon_problem
    FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
    WHERE {adds} AND a.attrelid = {table}::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull
      AND NOT a.atthasdef AND a.attidentity = '' AND t.typdefault IS NULL AND a.attname <> ALL ({written})
      AND NOT EXISTS (SELECT FROM pg_trigger AS g  -- one BEFORE INSERT may fill the column
                      WHERE g.tgrelid = ANY (orgrecon_tables) AND g.tgtype & 6 = 6 AND g.tgenabled <> 'D');
    IF orgrecon_problem IS NOT NULL THEN
        RAISE EXCEPTION 'orgrecon: {entity}: % must not be NULL and has no default, so rows cannot be added without it: '
            'compare it in the mapping, or repair these rows by hand', orgrecon_problem;
    END IF;

    -- A condition such as 'department IS NULL' says nothing about deletion; a NULL date or timestamp does.
    SELECT format('%s of %s is %s', a.attname, a.attrelid::regclass, format_type(a.atttypid, a.atttypmod))
    INTO orgrecon_problem
    FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
    WHERE a.attrelid = {table}::regclass AND a.attname = {deleted}
      AND (CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END)::regtype
          NOT IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype);
    IF orgrecon_problem IS NOT NULL THEN
        RAISE EXCEPTION 'orgrecon: {entity}: %, but only a date or timestamp can mark deleted rows: repair these rows by hand',
            orgrecon_problem;
    END IF;

    SELECT format('%s of %s', c.conname, c.conrelid::regclass) INTO orgrecon_problem
    FROM pg_constraint AS c
    WHERE c.contype = 'f' AND c.confrelid = ANY (orgrecon_tables) AND c.conparentid = 0 AND (
        {deletes} AND c.confdeltype IN ('c', 'n', 'd') AND NOT EXISTS (
            -- References that the mapping knows are harmless: rows with such references are never deleted.
            SELECT FROM (VALUES {known}) AS k (referring, referring_columns, referenced_columns)
            WHERE k.referring::regclass = c.conrelid AND NOT EXISTS (
                SELECT FROM unnest(k.referring_columns, k.referenced_columns) AS p (referring, referenced)
                WHERE NOT EXISTS (
                    SELECT FROM unnest(c.conkey, c.confkey) AS f (referring, referenced)
                    JOIN pg_attribute AS r
                      ON r.attrelid = c.conrelid AND r.attnum = f.referring AND r.attname = p.referring
                    JOIN pg_attribute AS t
                      ON t.attrelid = c.confrelid AND t.attnum = f.referenced AND t.attname = p.referenced
                )
            )
        ) OR c.confupdtype IN ('c', 'n', 'd') AND EXISTS (
            SELECT FROM pg_attribute AS a
            WHERE a.attrelid = c.confrelid AND a.attnum = ANY (c.confkey) AND a.attname = ANY ({updated})
        )
    );
    IF orgrecon_problem IS NOT NULL THEN
        RAISE EXCEPTION 'orgrecon: {entity}: the foreign key % would change rows outside the mapping: '
            'repair these rows by hand', orgrecon_problem;
    END IF;

    SELECT format('%s of %s', g.tgname, g.tgrelid::regclass) INTO orgrecon_problem
    FROM pg_trigger AS g
    WHERE g.tgrelid = ANY (orgrecon_tables) AND NOT g.tgisinternal AND g.tgenabled <> 'D' AND (
        {deletes} AND g.tgtype & 8 <> 0  -- FOR DELETE
        OR {marks} AND g.tgtype & 16 <> 0 AND (  -- FOR UPDATE, of any column or of the one that marks deleted rows
            cardinality(g.tgattr::int2[]) = 0 OR EXISTS (
                SELECT FROM pg_attribute AS a
                WHERE a.attrelid = g.tgrelid AND a.attnum = ANY (g.tgattr::int2[]) AND a.attname = {deleted}
            )
        )
    );
    IF orgrecon_problem IS NOT NULL THEN
        RAISE EXCEPTION 'orgrecon: {entity}: the trigger % would run for removed rows, with unknown effects: '
            'disable it for the repair, or repair these rows by hand', orgrecon_problem;
    END IF;
END
${tag}$;
