DO $orgrecon$
BEGIN
    PERFORM set_config('orgrecon.checksum_{number}', ({checksum}), true);
END
$orgrecon$;
