-- The writes of the demo's application. Each change has one statement per model; both run in one transaction.
-- v2.3 rows are addressed through legacy_id.

-- name: source.rename_team
UPDATE public.teams SET name = %(name)s WHERE tenant_id = %(tenant)s AND id = %(team)s
-- name: target.rename_team
UPDATE public.org_units SET name = %(name)s WHERE tenant_id = %(tenant)s AND legacy_id = %(team)s

-- name: source.add_member
INSERT INTO public.team_members (tenant_id, team_id, user_id, role) VALUES (%(tenant)s, %(team)s, %(user)s, 'member')
-- name: target.add_member
INSERT INTO public.org_unit_memberships (tenant_id, org_unit_id, user_id, role)
SELECT tenant_id, id, %(user)s, 'member' FROM public.org_units WHERE tenant_id = %(tenant)s AND legacy_id = %(team)s

-- name: source.change_role
UPDATE public.team_members SET role = %(role)s
WHERE tenant_id = %(tenant)s AND team_id = %(team)s AND user_id = %(user)s
-- name: target.change_role
UPDATE public.org_unit_memberships m SET role = %(role)s
FROM public.org_units u
WHERE u.tenant_id = %(tenant)s AND u.legacy_id = %(team)s
  AND m.tenant_id = u.tenant_id AND m.org_unit_id = u.id AND m.user_id = %(user)s

-- name: source.remove_member
DELETE FROM public.team_members WHERE tenant_id = %(tenant)s AND team_id = %(team)s AND user_id = %(user)s
-- name: target.remove_member
DELETE FROM public.org_unit_memberships m USING public.org_units u
WHERE u.tenant_id = %(tenant)s AND u.legacy_id = %(team)s
  AND m.tenant_id = u.tenant_id AND m.org_unit_id = u.id AND m.user_id = %(user)s
