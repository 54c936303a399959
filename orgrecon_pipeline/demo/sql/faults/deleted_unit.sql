-- A team was soft-deleted in the legacy model only. Its memberships stay equal on both sides.
chosen AS (SELECT * FROM shuffled_units ORDER BY position LIMIT %(count)s)
UPDATE public.teams t SET deleted_at = '2026-02-01 12:00+00' FROM chosen c
WHERE t.tenant_id = c.tenant_id AND t.id = c.legacy_id
RETURNING 'org_units', 'unexpected', c.tenant_id, ARRAY[c.legacy_id::text]
