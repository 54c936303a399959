-- The writes of the application: for each change, one statement per model. v2.3 rows are addressed through legacy_id,
-- as by an application without a table of both ids. Each statement changes one row, except those that delete a tenant.

-- name: legacy.create_tenant
INSERT INTO public.tenants (id) VALUES (%(tenant)s)
-- name: legacy.create_unit
INSERT INTO public.teams (tenant_id, id, name, parent_team_id)
VALUES (%(tenant)s, %(unit)s, %(name)s, %(parent)s)
-- name: v2_3.create_unit
INSERT INTO public.org_units (tenant_id, legacy_id, kind, name, parent_id)
VALUES (%(tenant)s, %(unit)s, 'team', %(name)s,
        (SELECT id FROM public.org_units WHERE tenant_id = %(tenant)s AND legacy_id = %(parent)s))
-- name: legacy.rename_unit
UPDATE public.teams SET name = %(name)s WHERE tenant_id = %(tenant)s AND id = %(unit)s
-- name: v2_3.rename_unit
UPDATE public.org_units SET name = %(name)s WHERE tenant_id = %(tenant)s AND legacy_id = %(unit)s
-- name: legacy.move_unit
UPDATE public.teams SET parent_team_id = %(parent)s WHERE tenant_id = %(tenant)s AND id = %(unit)s
-- name: v2_3.move_unit
UPDATE public.org_units u SET parent_id = p.id FROM public.org_units p
WHERE u.tenant_id = %(tenant)s AND u.legacy_id = %(unit)s AND p.tenant_id = %(tenant)s AND p.legacy_id = %(parent)s
-- name: legacy.retire_unit
UPDATE public.teams SET deleted_at = clock_timestamp() WHERE tenant_id = %(tenant)s AND id = %(unit)s
-- name: v2_3.retire_unit
UPDATE public.org_units SET deleted_at = clock_timestamp() WHERE tenant_id = %(tenant)s AND legacy_id = %(unit)s
-- name: legacy.delete_unit
DELETE FROM public.teams WHERE tenant_id = %(tenant)s AND id = %(unit)s
-- name: v2_3.delete_unit
DELETE FROM public.org_units WHERE tenant_id = %(tenant)s AND legacy_id = %(unit)s
-- name: legacy.add_member
INSERT INTO public.team_members (tenant_id, team_id, user_id, role)
VALUES (%(tenant)s, %(unit)s, %(user)s, %(role)s)
-- name: v2_3.add_member
INSERT INTO public.org_unit_memberships (tenant_id, org_unit_id, user_id, role)
SELECT tenant_id, id, %(user)s, %(role)s FROM public.org_units WHERE tenant_id = %(tenant)s AND legacy_id = %(unit)s
-- name: legacy.change_role
UPDATE public.team_members SET role = %(role)s
WHERE tenant_id = %(tenant)s AND team_id = %(unit)s AND user_id = %(user)s
-- name: v2_3.change_role
UPDATE public.org_unit_memberships m SET role = %(role)s FROM public.org_units u
WHERE u.tenant_id = %(tenant)s AND u.legacy_id = %(unit)s
  AND m.tenant_id = u.tenant_id AND m.org_unit_id = u.id AND m.user_id = %(user)s
-- name: legacy.remove_member
DELETE FROM public.team_members WHERE tenant_id = %(tenant)s AND team_id = %(unit)s AND user_id = %(user)s
-- name: v2_3.remove_member
DELETE FROM public.org_unit_memberships m USING public.org_units u
WHERE u.tenant_id = %(tenant)s AND u.legacy_id = %(unit)s
  AND m.tenant_id = u.tenant_id AND m.org_unit_id = u.id AND m.user_id = %(user)s
-- name: legacy.delete_tenant
DELETE FROM public.tenants WHERE id = %(tenant)s
-- name: legacy.delete_all_members
DELETE FROM public.team_members WHERE tenant_id = %(tenant)s
-- name: v2_3.delete_all_members
DELETE FROM public.org_unit_memberships WHERE tenant_id = %(tenant)s
-- name: legacy.delete_all_units
DELETE FROM public.teams WHERE tenant_id = %(tenant)s
-- name: v2_3.delete_all_units
DELETE FROM public.org_units WHERE tenant_id = %(tenant)s

-- Queries that a worker executes when it starts.

-- name: names_in_use
SELECT id FROM public.tenants WHERE starts_with(id, %(prefix)s)
UNION SELECT tenant_id FROM public.teams WHERE starts_with(tenant_id, %(prefix)s)
UNION SELECT tenant_id FROM public.org_units WHERE starts_with(tenant_id, %(prefix)s)
-- name: tenant_units
SELECT id, name, parent_team_id, deleted_at IS NULL FROM public.teams WHERE tenant_id = %(tenant)s ORDER BY id
-- name: tenant_members
SELECT team_id, user_id, role FROM public.team_members WHERE tenant_id = %(tenant)s ORDER BY team_id, user_id
