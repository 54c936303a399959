DO ${tag}$
BEGIN
    IF current_database() <> {database}
       OR (SELECT system_identifier FROM pg_control_system())::text <> {system_identifier} THEN
        RAISE EXCEPTION 'orgrecon: this is not the database that was observed: %', {named};
    END IF;
END
${tag}$;
