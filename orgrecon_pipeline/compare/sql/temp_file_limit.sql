-- Whether the size of temporary files is limited.
SELECT pg_catalog.current_setting('temp_file_limit') <> '-1' AS limited
