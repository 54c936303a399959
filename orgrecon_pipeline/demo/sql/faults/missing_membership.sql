-- A user joined a team in the legacy model only.
chosen AS (SELECT * FROM shuffled_memberships ORDER BY position LIMIT %(count)s)
DELETE FROM public.org_unit_memberships o USING chosen c
WHERE o.tenant_id = c.tenant_id AND o.org_unit_id = c.unit_id AND o.user_id = c.user_id
RETURNING 'org_unit_memberships', 'missing', c.tenant_id, ARRAY[c.legacy_id::text, c.user_id::text]
