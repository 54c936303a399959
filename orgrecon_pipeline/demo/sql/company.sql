-- The demo company: a legacy model (teams) and Org Model v2.3 (org_units), written together by one application.
-- It fits the packaged default mapping. Compared columns have the same type on both sides; every index begins
-- with the tenant, because that is how both the application and the drill-down of a drifting tenant read.
--
-- org_units.legacy_id is deliberately not UNIQUE: v2.3 will outlive the legacy ids, and a dual writer that retries
-- a creation can then write one team twice, which is a kind of drift that has to be found. There are no foreign keys
-- for the same reason: a membership whose unit was never written has to be possible here, as it is out there.

CREATE TABLE public.tenants (
    id text PRIMARY KEY
);

CREATE TABLE public.teams (
    tenant_id text NOT NULL,
    id bigint NOT NULL,
    name text NOT NULL,
    parent_team_id bigint,
    deleted_at timestamptz,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX teams_by_parent ON public.teams (tenant_id, parent_team_id);

CREATE TABLE public.team_members (
    tenant_id text NOT NULL,
    team_id bigint NOT NULL,
    user_id uuid NOT NULL,
    role text NOT NULL,
    PRIMARY KEY (tenant_id, team_id, user_id)
);
CREATE INDEX team_members_by_user ON public.team_members (tenant_id, user_id);

CREATE TABLE public.org_units (
    tenant_id text NOT NULL,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    legacy_id bigint,
    kind text NOT NULL,
    name text NOT NULL,
    parent_id uuid,
    deleted_at timestamptz,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX org_units_by_legacy_id ON public.org_units (tenant_id, legacy_id);
CREATE INDEX org_units_by_parent ON public.org_units (tenant_id, parent_id);

CREATE TABLE public.org_unit_memberships (
    tenant_id text NOT NULL,
    org_unit_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role text NOT NULL,
    PRIMARY KEY (tenant_id, org_unit_id, user_id)
);
CREATE INDEX org_unit_memberships_by_user ON public.org_unit_memberships (tenant_id, user_id);
