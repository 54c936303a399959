DO $orgrecon$
BEGIN
    PERFORM set_config('orgrecon.rows_of_{number}', ({rows}), true);
END
$orgrecon$;
