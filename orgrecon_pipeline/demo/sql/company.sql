-- Tables of the demo company: a legacy model (teams) and Org Model v2.3 (org_units), written by one application.
-- They match the packaged default mapping. Compared columns have the same type on both sides. Every index starts with
-- the tenant, because the application and the drill-down read the rows of one tenant.
--
-- org_units.legacy_id is not UNIQUE, and there are no foreign keys: a retried creation can write a team twice, and a
-- membership can exist without its unit. Both are drift that the comparison must find.

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
