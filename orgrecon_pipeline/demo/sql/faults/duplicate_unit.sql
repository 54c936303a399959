-- A creation was retried after a timeout, so v2.3 contains the team twice.
chosen AS (SELECT * FROM shuffled_units ORDER BY position LIMIT %(count)s)
INSERT INTO public.org_units (tenant_id, legacy_id, kind, name, parent_id)
SELECT u.tenant_id, u.legacy_id, u.kind, u.name, u.parent_id
FROM chosen c JOIN public.org_units u ON u.tenant_id = c.tenant_id AND u.id = c.unit_id
RETURNING 'org_units', 'duplicate', tenant_id, ARRAY[legacy_id::text]
