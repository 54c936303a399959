
-- {entity}: {what}
DO ${tag}$
#variable_conflict use_column
DECLARE
    orgrecon_changed bigint;
    orgrecon_total bigint := 0;
    orgrecon_unresolved bigint;
    orgrecon_unchanged bigint;
BEGIN
    LOOP
{statement}        SELECT count({counted}), {unresolved}, {eligible} - count(*)
        INTO orgrecon_changed, orgrecon_unresolved, orgrecon_unchanged FROM changed;
        orgrecon_total := orgrecon_total + orgrecon_changed;
        IF orgrecon_total > {limit} THEN
            RAISE EXCEPTION 'orgrecon: {entity}, {what}: %, but the observation counted only {limit}', orgrecon_total
                USING HINT = 'The drift has grown: run orgrecon report, then orgrecon repair-sql again.';
        END IF;
        EXIT WHEN {once} OR orgrecon_changed = 0;
    END LOOP;
    RAISE NOTICE 'orgrecon: {entity}, {what}: %', concat(
        orgrecon_total,
        ', ' || nullif(orgrecon_unresolved, 0) || ' not {done} (the row to refer to is missing or ambiguous)',
        ', ' || nullif(orgrecon_unchanged, 0) || ' not {done}{reasons}'
    );
END
${tag}$;
