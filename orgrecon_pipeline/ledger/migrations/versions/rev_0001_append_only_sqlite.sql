-- Triggers that make a table append-only. The third stops INSERT OR REPLACE, which deletes rows without firing the
-- DELETE trigger. The last one is for tables with personal columns: only the transaction that stores a redaction, whose
-- link is stored last, may change them.

CREATE TRIGGER {table}_no_update BEFORE UPDATE {of_fixed} ON {table}
BEGIN SELECT RAISE(ABORT, 'orgrecon: {table} is append-only'); END

CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table}
BEGIN SELECT RAISE(ABORT, 'orgrecon: {table} is append-only'); END

CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN EXISTS (SELECT 1 FROM {table} WHERE {same})
BEGIN SELECT RAISE(ABORT, 'orgrecon: {table} is append-only'); END

CREATE TRIGGER {table}_only_redaction BEFORE UPDATE ON {table} WHEN NOT EXISTS (
    SELECT 1 FROM orgrecon_redaction r WHERE NOT EXISTS (SELECT 1 FROM orgrecon_link l WHERE
    l.migration = r.migration AND l.environment = r.environment AND l.position = r.position))
BEGIN SELECT RAISE(ABORT, 'orgrecon: {table} is append-only'); END
