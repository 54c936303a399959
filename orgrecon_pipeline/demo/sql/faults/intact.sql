-- Common start of every fault: keys that exist once and equal on both sides. Choosing only among these keeps faults
-- apart, so that the returned keys are exactly the new drift.
WITH intact_units AS (
    SELECT t.tenant_id, t.id AS legacy_id, u.id AS unit_id
    FROM public.teams t
    JOIN public.org_units u ON u.tenant_id = t.tenant_id AND u.legacy_id = t.id
    LEFT JOIN public.org_units p ON p.tenant_id = u.tenant_id AND p.id = u.parent_id
    WHERE t.deleted_at IS NULL AND u.deleted_at IS NULL
      AND u.kind = 'team' AND u.name = t.name AND p.legacy_id IS NOT DISTINCT FROM t.parent_team_id
      AND (%(tenants)s::text[] IS NULL OR t.tenant_id = ANY (%(tenants)s::text[]))
      AND NOT EXISTS (
          SELECT FROM public.org_units o WHERE o.tenant_id = u.tenant_id AND o.legacy_id = u.legacy_id AND o.id <> u.id)
), intact_memberships AS (
    SELECT i.tenant_id, i.legacy_id, i.unit_id, m.user_id
    FROM intact_units i
    JOIN public.team_members m ON m.tenant_id = i.tenant_id AND m.team_id = i.legacy_id
    JOIN public.org_unit_memberships o
      ON o.tenant_id = i.tenant_id AND o.org_unit_id = i.unit_id AND o.user_id = m.user_id AND o.role = m.role
), shuffled_units AS (
    SELECT *, hashtextextended(tenant_id || '/' || legacy_id, %(seed)s) AS position FROM intact_units
), shuffled_memberships AS (
    SELECT *, hashtextextended(tenant_id || '/' || legacy_id || '/' || user_id, %(seed)s) AS position
    FROM intact_memberships
),
