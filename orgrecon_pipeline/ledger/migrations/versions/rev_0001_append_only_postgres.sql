-- Triggers that make a table append-only. The function is created once, the other statements run for every table.

CREATE FUNCTION orgrecon_append_only() RETURNS trigger LANGUAGE plpgsql AS $refuse$
BEGIN
    RAISE EXCEPTION 'orgrecon: % is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$refuse$

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION orgrecon_append_only()

ALTER TABLE {table} ENABLE ALWAYS TRIGGER append_only  -- also with session_replication_role = replica
