-- The role that orgrecon compares with: it may read the mapped tables, and nothing else.
--
-- Run it once as the owner of the tables (or a superuser), in the source database and, where the target is another
-- one, there too. It may be run again. Then give the role a password:  \password orgrecon_reader
--
-- The tables below are those of the packaged mapping: make them those of yours. `orgrecon doctor` says what is missing.
-- The role must not be subject to row-level security: where a table has it enabled, the comparison would see a part of
-- the rows, so every day would be INCONCLUSIVE. There, a superuser adds:  ALTER ROLE orgrecon_reader BYPASSRLS;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'orgrecon_reader') THEN
        CREATE ROLE orgrecon_reader;
    END IF;
END
$$;

-- NOINHERIT: whatever else the role is made a member of some day, it does not use it by itself.
ALTER ROLE orgrecon_reader LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 10;

-- Second lines of defence. orgrecon itself opens read-only transactions and sets shorter timeouts.
ALTER ROLE orgrecon_reader SET default_transaction_read_only = on;
ALTER ROLE orgrecon_reader SET statement_timeout = '2h';
ALTER ROLE orgrecon_reader SET lock_timeout = '1min';
ALTER ROLE orgrecon_reader SET idle_in_transaction_session_timeout = '10min';

DO $$
BEGIN
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO orgrecon_reader', current_database());
END
$$;

GRANT USAGE ON SCHEMA public TO orgrecon_reader;

GRANT SELECT ON TABLE
    public.tenants,
    public.teams,
    public.team_members,
    public.org_units,
    public.org_unit_memberships
TO orgrecon_reader;
