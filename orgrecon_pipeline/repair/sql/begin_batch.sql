
-- Batch {number} of {batches}: {tenants}.
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL lock_timeout = '{lock_timeout}';  -- shorter than deadlock_timeout: on a deadlock this batch fails, not the other writer
SET LOCAL statement_timeout = '{statement_timeout}';
SET LOCAL work_mem = '64MB';
{settings}
-- Abort if the strings of this file were parsed before the settings above took effect, as in a single message.
SET LOCAL orgrecon.backslashes = '\\';
DO $orgrecon$
BEGIN
    IF length(current_setting('orgrecon.backslashes')) <> 2 THEN
        RAISE EXCEPTION 'orgrecon: standard_conforming_strings is off: run this file with psql --file, which sends one statement at a time';
    END IF;
END
$orgrecon$;
{database}LOCK TABLE {source_tables} IN SHARE MODE;
LOCK TABLE {target_tables} IN SHARE ROW EXCLUSIVE MODE;
