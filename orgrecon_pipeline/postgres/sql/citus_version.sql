-- The version of the extension Citus, if the database has it.
SELECT extversion AS version FROM pg_catalog.pg_extension WHERE extname = 'citus'
