-- A user has another role in v2.3 than in the legacy model.
chosen AS (SELECT * FROM shuffled_memberships ORDER BY position LIMIT %(count)s)
UPDATE public.org_unit_memberships o SET role = CASE o.role WHEN 'admin' THEN 'member' ELSE 'admin' END FROM chosen c
WHERE o.tenant_id = c.tenant_id AND o.org_unit_id = c.unit_id AND o.user_id = c.user_id
RETURNING 'org_unit_memberships', 'mismatched', c.tenant_id, ARRAY[c.legacy_id::text, c.user_id::text]
