-- Create the role that orgrecon connects with. It can read the mapped tables and nothing else.
--
-- Run this script in the source database and, if the target is another database, there too. You can run it again.
-- It needs no superuser: the administrator of a managed server (RDS, Cloud SQL, Azure) can run it, which is a role with
-- CREATEROLE. If the tables belong to another role, the script names the GRANT that their owner must run.
-- Then set a password:  \password orgrecon_reader
--
-- Before PostgreSQL 15, every role may create tables in the schema public, unless its owner runs:
--   REVOKE CREATE ON SCHEMA public FROM PUBLIC;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'orgrecon_reader') THEN
        CREATE ROLE orgrecon_reader;
    -- A new role has none of these attributes. Only a superuser may name them all, even to take them away.
    ELSIF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'orgrecon_reader'
                  AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication)) THEN
        RAISE EXCEPTION 'orgrecon_reader has more privileges than reading' USING HINT =
            'As a superuser, run: ALTER ROLE orgrecon_reader NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;';
    END IF;
END
$$;

-- NOINHERIT: if the role becomes a member of other roles, it does not use their privileges automatically.
ALTER ROLE orgrecon_reader LOGIN NOINHERIT CONNECTION LIMIT 10;

-- A second line of defence. orgrecon opens read-only transactions and sets shorter timeouts itself.
ALTER ROLE orgrecon_reader SET default_transaction_read_only = on;
ALTER ROLE orgrecon_reader SET statement_timeout = '2h';
ALTER ROLE orgrecon_reader SET lock_timeout = '1min';
ALTER ROLE orgrecon_reader SET idle_in_transaction_session_timeout = '10min';

DO $$
DECLARE
    -- The tables of the packaged mapping. Replace them with yours; `orgrecon doctor` reports missing ones.
    mapped CONSTANT regclass[] := ARRAY[
        'public.tenants',
        'public.teams',
        'public.team_members',
        'public.org_units',
        'public.org_unit_memberships'
    ];
    needed record;
    has_privilege text;
    granted boolean;
    missing text := '';
    filtered text;
BEGIN
    FOR needed IN
        SELECT 'database' AS kind, oid, 'CONNECT' AS privilege, format('DATABASE %I', datname) AS object,
               datdba AS owner
        FROM pg_catalog.pg_database WHERE datname = current_database()
        UNION
        SELECT 'schema', n.oid, 'USAGE', format('SCHEMA %I', n.nspname), n.nspowner
        FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.oid = ANY (mapped)
        UNION
        SELECT 'table', c.oid, 'SELECT', format('TABLE %I.%I', n.nspname, c.relname), c.relowner
        FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.oid = ANY (mapped)
        UNION
        -- It identifies the server. Every role may call it, unless the server was hardened.
        SELECT 'function', oid, 'EXECUTE', 'FUNCTION pg_catalog.pg_control_system()', proowner
        FROM pg_catalog.pg_proc WHERE oid = 'pg_catalog.pg_control_system()'::regprocedure
        ORDER BY object
    LOOP
        has_privilege := format('SELECT has_%s_privilege(''orgrecon_reader'', %s::oid, %L)',
                                needed.kind, needed.oid, needed.privilege);
        EXECUTE has_privilege INTO granted;
        CONTINUE WHEN granted;
        BEGIN
            EXECUTE format('GRANT %s ON %s TO orgrecon_reader', needed.privilege, needed.object);
        EXCEPTION WHEN insufficient_privilege THEN
            NULL; -- handled below, in the same way as a warning of the server
        END;
        EXECUTE has_privilege INTO granted;
        CONTINUE WHEN granted;
        IF needed.kind = 'function' THEN
            RAISE NOTICE 'orgrecon_reader may not call pg_control_system(): every report will be INCONCLUSIVE'
                USING HINT = 'As a superuser, run: '
                    'GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO orgrecon_reader;';
        ELSE
            missing := missing || format(E'\nGRANT %s ON %s TO orgrecon_reader;  -- as %I',
                                         needed.privilege, needed.object, pg_get_userbyid(needed.owner));
        END IF;
    END LOOP;
    IF missing <> '' THEN
        RAISE EXCEPTION '% may not grant what orgrecon_reader needs', current_user USING HINT =
            'Run these statements as the named roles, or as a member of them; then run this script again:' || missing;
    END IF;

    SELECT string_agg(c.oid::regclass::text, ', ' ORDER BY c.oid::regclass::text) INTO filtered
    FROM pg_catalog.pg_class AS c
    WHERE c.oid = ANY (mapped) AND c.relrowsecurity
      AND NOT (SELECT rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = 'orgrecon_reader');
    IF filtered IS NOT NULL THEN
        RAISE NOTICE 'row-level security hides rows of % from orgrecon_reader: every report will be INCONCLUSIVE',
            filtered USING HINT =
            'As a superuser or, since PostgreSQL 16, as a role with BYPASSRLS, run: '
            'ALTER ROLE orgrecon_reader BYPASSRLS;';
    END IF;
END
$$;
