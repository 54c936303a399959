DO ${tag}$
#variable_conflict use_column
DECLARE
    orgrecon_tables oid[];
    orgrecon_found text;
BEGIN
    WITH RECURSIVE family AS (
        SELECT {table}::regclass::oid AS member
        UNION SELECT i.inhrelid FROM pg_inherits AS i JOIN family AS f ON i.inhparent = f.member
    ) SELECT array_agg(member) INTO orgrecon_tables FROM family;

    IF (SELECT relkind FROM pg_class WHERE oid = {table}::regclass) NOT IN ('r', 'p') THEN
        RAISE EXCEPTION 'orgrecon: {entity}: % is no table: name the tables behind it in the mapping',
            {table}::regclass;
    END IF;

    SELECT format('%s of %s', a.attname, a.attrelid::regclass) INTO orgrecon_found
    FROM pg_attribute AS a
    WHERE a.attrelid = {table}::regclass AND a.attname = ANY ({written})
      AND (a.attidentity = 'a' OR to_jsonb(a) ->> 'attgenerated' <> '');
    IF orgrecon_found IS NOT NULL THEN
        RAISE EXCEPTION 'orgrecon: {entity}: % is generated and cannot be written: heal these rows by hand', orgrecon_found;
    END IF;

    -- 'department IS NULL' marks nothing as deleted; only a moment does.
    SELECT format('%s of %s is %s', a.attname, a.attrelid::regclass, format_type(a.atttypid, a.atttypmod))
    INTO orgrecon_found
    FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
    WHERE a.attrelid = {table}::regclass AND a.attname = {deleted}
      AND (CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END)::regtype
          NOT IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype);
    IF orgrecon_found IS NOT NULL THEN
        RAISE EXCEPTION 'orgrecon: {entity}: %: only a date or a timestamp can mark deleted rows: heal these rows by hand',
            orgrecon_found;
    END IF;

    SELECT format('%s of %s', c.conname, c.conrelid::regclass) INTO orgrecon_found
    FROM pg_constraint AS c
    WHERE c.contype = 'f' AND c.confrelid = ANY (orgrecon_tables) AND c.conparentid = 0 AND (
        {deletes} AND c.confdeltype IN ('c', 'n', 'd') AND NOT EXISTS (
            -- What the mapping looks up in the table is counted, and what is referred to stays.
            SELECT FROM (VALUES {known}) AS k (referring, mine, theirs)
            WHERE k.referring::regclass = c.conrelid AND NOT EXISTS (
                SELECT FROM unnest(k.mine, k.theirs) AS p (mine, theirs)
                WHERE NOT EXISTS (
                    SELECT FROM unnest(c.conkey, c.confkey) AS f (mine, theirs)
                    JOIN pg_attribute AS m ON m.attrelid = c.conrelid AND m.attnum = f.mine AND m.attname = p.mine
                    JOIN pg_attribute AS t ON t.attrelid = c.confrelid AND t.attnum = f.theirs AND t.attname = p.theirs
                )
            )
        ) OR c.confupdtype IN ('c', 'n', 'd') AND EXISTS (
            SELECT FROM pg_attribute AS a
            WHERE a.attrelid = c.confrelid AND a.attnum = ANY (c.confkey) AND a.attname = ANY ({updated})
        )
    );
    IF orgrecon_found IS NOT NULL THEN
        RAISE EXCEPTION 'orgrecon: {entity}: the foreign key % would change rows that the mapping does not know: '
            'heal these rows by hand', orgrecon_found;
    END IF;

    SELECT format('%s of %s', g.tgname, g.tgrelid::regclass) INTO orgrecon_found
    FROM pg_trigger AS g
    WHERE g.tgrelid = ANY (orgrecon_tables) AND NOT g.tgisinternal AND g.tgenabled <> 'D' AND (
        {deletes} AND g.tgtype & 8 <> 0  -- DELETE
        OR {marks} AND g.tgtype & 16 <> 0 AND (  -- UPDATE, and then of which columns
            cardinality(g.tgattr::int2[]) = 0 OR EXISTS (
                SELECT FROM pg_attribute AS a
                WHERE a.attrelid = g.tgrelid AND a.attnum = ANY (g.tgattr::int2[]) AND a.attname = {deleted}
            )
        )
    );
    IF orgrecon_found IS NOT NULL THEN
        RAISE EXCEPTION 'orgrecon: {entity}: the trigger % would run for removed rows, and nobody can say what it does: '
            'disable it meanwhile, or heal these rows by hand', orgrecon_found;
    END IF;
END
${tag}$;
