-- {entity}: save a checksum of the source.
DO $orgrecon$
BEGIN
    PERFORM set_config('orgrecon.checksum_{number}', ({checksum}), true);
END
$orgrecon$;
