-- A team was created in the legacy model only, so v2.3 lacks its memberships as well.
chosen AS (
    SELECT s.* FROM shuffled_units s
    WHERE NOT EXISTS (SELECT FROM public.org_units c WHERE c.tenant_id = s.tenant_id AND c.parent_id = s.unit_id)
      AND (SELECT count(*) FROM public.org_unit_memberships o WHERE o.tenant_id = s.tenant_id AND o.org_unit_id = s.unit_id)
        = (SELECT count(*) FROM intact_memberships i WHERE i.tenant_id = s.tenant_id AND i.legacy_id = s.legacy_id)
    ORDER BY position LIMIT %(count)s
), memberships AS (
    DELETE FROM public.org_unit_memberships o USING chosen c
    WHERE o.tenant_id = c.tenant_id AND o.org_unit_id = c.unit_id
    RETURNING c.tenant_id, c.legacy_id, o.user_id
), units AS (
    DELETE FROM public.org_units u USING chosen c WHERE u.tenant_id = c.tenant_id AND u.id = c.unit_id
    RETURNING c.tenant_id, c.legacy_id
)
SELECT 'org_units', 'missing', tenant_id, ARRAY[legacy_id::text] FROM units
UNION ALL
SELECT 'org_unit_memberships', 'missing', tenant_id, ARRAY[legacy_id::text, user_id::text] FROM memberships
