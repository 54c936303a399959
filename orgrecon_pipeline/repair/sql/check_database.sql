-- Abort if this is not the observed database.
DO ${tag}$
BEGIN
    IF current_database() <> {database}
       OR (SELECT system_identifier FROM pg_control_system())::text <> {system_identifier} THEN
        RAISE EXCEPTION 'orgrecon: this is not the observed database: connect to %', {name};
    END IF;
END
${tag}$;
