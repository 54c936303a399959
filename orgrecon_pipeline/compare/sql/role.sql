SELECT current_user::text AS role, r.rolsuper AS superuser, r.rolbypassrls AS bypasses_rls
FROM pg_catalog.pg_roles AS r
WHERE r.rolname = current_user
