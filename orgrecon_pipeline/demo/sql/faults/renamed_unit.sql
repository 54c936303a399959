-- A team was renamed in the legacy model only.
chosen AS (SELECT * FROM shuffled_units ORDER BY position LIMIT %(count)s)
UPDATE public.teams t SET name = t.name || ' & Friends' FROM chosen c
WHERE t.tenant_id = c.tenant_id AND t.id = c.legacy_id
RETURNING 'org_units', 'mismatched', c.tenant_id, ARRAY[c.legacy_id::text]
