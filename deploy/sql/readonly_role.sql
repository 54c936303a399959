-- Create the role that orgrecon connects with. It can read the mapped tables and nothing else.
--
-- Run this script as the owner of the tables (or a superuser) in the source database and, if the target is another
-- database, there too. You can run it again. Then set a password:  \password orgrecon_reader
--
-- The list below has the tables of the packaged mapping. Replace them with yours; `orgrecon doctor` reports missing ones.
-- If a table has row-level security, the role would see only some of its rows, and every day would be INCONCLUSIVE.
-- In that case a superuser runs:  ALTER ROLE orgrecon_reader BYPASSRLS;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'orgrecon_reader') THEN
        CREATE ROLE orgrecon_reader;
    END IF;
END
$$;

-- NOINHERIT: if the role becomes a member of other roles, it does not use their privileges automatically.
ALTER ROLE orgrecon_reader LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 10;

-- A second line of defence. orgrecon opens read-only transactions and sets shorter timeouts itself.
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
