
-- {entity}: {what}
DO ${tag}$
#variable_conflict use_column
DECLARE
    orgrecon_now bigint;
    orgrecon_all bigint := 0;
    orgrecon_unresolved bigint;
    orgrecon_due bigint;
BEGIN
    LOOP
{statement}        SELECT count({counted}), {unresolved}, {due} - count(*)
        INTO orgrecon_now, orgrecon_unresolved, orgrecon_due FROM changed;
        orgrecon_all := orgrecon_all + orgrecon_now;
        IF orgrecon_all > {most} THEN
            RAISE EXCEPTION 'orgrecon: {entity}, {what}: % of them, and the observation counted {most}', orgrecon_all
                USING HINT = 'The drift has grown since: run orgrecon report, then make a new repair.';
        END IF;
        EXIT WHEN {once} OR orgrecon_now = 0;
    END LOOP;
    RAISE NOTICE 'orgrecon: {entity}, {what}: %', concat(
        orgrecon_all,
        ', ' || nullif(orgrecon_unresolved, 0) || ' cannot be resolved',
        ', ' || nullif(orgrecon_due, 0) || ' left as they are'
    );
END
${tag}$;
