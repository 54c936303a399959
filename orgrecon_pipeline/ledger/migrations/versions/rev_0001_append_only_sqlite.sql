-- Triggers that make a table append-only. The third stops INSERT OR REPLACE, which deletes rows without firing the
-- DELETE trigger.

CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table}
BEGIN SELECT RAISE(ABORT, 'orgrecon: {table} is append-only'); END

CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table}
BEGIN SELECT RAISE(ABORT, 'orgrecon: {table} is append-only'); END

CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN EXISTS (SELECT 1 FROM {table} WHERE {same})
BEGIN SELECT RAISE(ABORT, 'orgrecon: {table} is append-only'); END
