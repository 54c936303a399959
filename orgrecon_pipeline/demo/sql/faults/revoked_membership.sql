-- A user was removed from a team in the legacy model only: an access hole after the cutover.
chosen AS (SELECT * FROM shuffled_memberships ORDER BY position LIMIT %(count)s)
DELETE FROM public.team_members m USING chosen c
WHERE m.tenant_id = c.tenant_id AND m.team_id = c.legacy_id AND m.user_id = c.user_id
RETURNING 'org_unit_memberships', 'unexpected', c.tenant_id, ARRAY[c.legacy_id::text, c.user_id::text]
