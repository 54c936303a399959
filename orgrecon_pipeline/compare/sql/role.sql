-- The role of this session, and whether it is more powerful than necessary.
SELECT current_user::text AS role, r.rolsuper AS superuser, r.rolbypassrls AS bypasses_rls
FROM pg_catalog.pg_roles AS r
WHERE r.rolname = current_user
