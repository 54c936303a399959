-- Triggers that make a table append-only. The functions are created once, the next two statements run for every table,
-- and the last two for tables with personal columns.

CREATE FUNCTION orgrecon_append_only() RETURNS trigger LANGUAGE plpgsql AS $refuse$
BEGIN
    RAISE EXCEPTION 'orgrecon: % is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$refuse$

CREATE FUNCTION orgrecon_only_redaction() RETURNS trigger LANGUAGE plpgsql AS $refuse$
DECLARE
    redacting boolean;
BEGIN
    -- A redaction without its link can only be one that this transaction is storing.
    EXECUTE format(
        'SELECT EXISTS (SELECT FROM %1$I.orgrecon_redaction r WHERE NOT EXISTS (SELECT FROM %1$I.orgrecon_link l '
        'WHERE (l.migration, l.environment, l.position) = (r.migration, r.environment, r.position)))',
        TG_TABLE_SCHEMA) INTO redacting;
    IF redacting THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'orgrecon: % is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$refuse$

CREATE TRIGGER append_only BEFORE UPDATE {of_fixed} OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION orgrecon_append_only()

ALTER TABLE {table} ENABLE ALWAYS TRIGGER append_only  -- also with session_replication_role = replica

CREATE TRIGGER only_redaction BEFORE UPDATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION orgrecon_only_redaction()

ALTER TABLE {table} ENABLE ALWAYS TRIGGER only_redaction
