
-- Batch {number} of {batches}: {tenants} tenants.
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL lock_timeout = '{lock_timeout}';  -- less than deadlock_timeout: it is the repair that gives way, not the writer
SET LOCAL statement_timeout = '{statement_timeout}';
SET LOCAL work_mem = '64MB';
{settings}
SET LOCAL orgrecon.backslashes = '\\';
DO $orgrecon$
BEGIN
    -- Of a file that a client sends as one message every string is read before the first SET has run.
    IF length(current_setting('orgrecon.backslashes')) <> 2 THEN
        RAISE EXCEPTION 'orgrecon: standard_conforming_strings is off: run this file with psql --file, statement by statement';
    END IF;
END
$orgrecon$;
{database}LOCK TABLE {source_tables} IN SHARE MODE;
LOCK TABLE {target_tables} IN SHARE ROW EXCLUSIVE MODE;
