
-- {entity}: abort if the source has changed.
DO $orgrecon$
BEGIN
    IF current_setting('orgrecon.checksum_{number}') <> ({checksum}) THEN
        RAISE EXCEPTION 'orgrecon: {entity}: a trigger has changed the source: repair these rows by hand';
    END IF;
END
$orgrecon$;
