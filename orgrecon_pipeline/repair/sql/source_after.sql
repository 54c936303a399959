
DO $orgrecon$
BEGIN
    IF current_setting('orgrecon.rows_of_{number}') <> ({rows}) THEN
        RAISE EXCEPTION 'orgrecon: {entity}: a trigger has changed the source, which no repair may: heal these rows by hand';
    END IF;
END
$orgrecon$;
