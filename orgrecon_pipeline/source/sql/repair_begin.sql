
-- Batch {number} of {batches}: {tenants} tenants.
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL lock_timeout = '{lock_timeout}';  -- less than deadlock_timeout: it is the repair that gives way, not the writer
SET LOCAL statement_timeout = '{statement_timeout}';
SET LOCAL work_mem = '64MB';
SET LOCAL row_security = off;  -- a row that is hidden must be an error, and never an absent one
LOCK TABLE {source_tables} IN SHARE MODE;
LOCK TABLE {target_tables} IN SHARE ROW EXCLUSIVE MODE;
