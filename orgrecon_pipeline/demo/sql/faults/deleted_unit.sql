-- A team was soft-deleted, and lives on in v2.3. Its memberships are the same on both sides.
chosen AS (SELECT * FROM shuffled_units ORDER BY place LIMIT %(count)s)
UPDATE public.teams t SET deleted_at = '2026-02-01 12:00+00' FROM chosen c
WHERE t.tenant_id = c.tenant_id AND t.id = c.legacy_id
RETURNING 'org_units', 'unexpected', c.tenant_id, ARRAY[c.legacy_id::text]
