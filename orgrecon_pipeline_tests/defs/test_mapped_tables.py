"""The tables that the SQL of a mapping names, and the assets that show them."""

from __future__ import annotations

import dagster as dg
import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.defs.assets.mapped_tables import tables_in, upstream_specs
from orgrecon_pipeline.defs.names import ComponentNames
from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.identity import Identity

NAMES = ComponentNames(Identity("org-v23", "prod"), ("org_v23",))

CASES = {
    "public.teams": ["public.teams"],
    "public.Teams t": ["public.teams"],
    '"Weird"."Ta ble" AS x': ["Weird.Ta ble"],
    "ONLY public.t": ["public.t"],
    "public.teams*": ["public.teams"],
    "db.public.t t(x, y)": ["db.public.t"],
    "public.org_units u LEFT JOIN public.org_units p ON p.id = u.parent_id": ["public.org_units"],
    "a NATURAL JOIN b": ["a", "b"],
    "(a JOIN b USING (id)) JOIN c USING (id)": ["a", "b", "c"],
    "a, LATERAL (SELECT * FROM b) x": ["a", "b"],
    "a CROSS JOIN LATERAL unnest(a.xs) u(x)": ["a"],
    "a TABLESAMPLE system (1)": ["a"],
    "a x JOIN a y ON EXISTS (SELECT FROM z WHERE z.id = x.id)": ["a", "z"],
    "(SELECT * FROM a WHERE EXTRACT(year FROM ts) = 1 AND b IS DISTINCT FROM c) s": ["a"],
    "(SELECT * FROM a UNION ALL SELECT * FROM b) u": ["a", "b"],
    "(WITH c AS (SELECT 1 FROM q) SELECT * FROM c, d) s": ["d", "q"],
    "(WITH a AS (SELECT * FROM public.a) SELECT * FROM a) s": ["public.a"],
    "(WITH RECURSIVE r AS (SELECT 1 x FROM base UNION ALL SELECT x + 1 FROM r) SELECT * FROM r) s": ["base"],
    "public.teams t -- FROM elsewhere": ["public.teams"],
    "public.teams /* JOIN elsewhere */ t": ["public.teams"],
    "schéma.tablé": ["schéma.tablé"],
    "(VALUES (1)) v(x)": [],
    "generate_series(1, 2) g": [],
    "dblink('x', 'SELECT FROM y') AS t(a int)": [],
    "f(ARRAY(SELECT x FROM q)) g": ["q"],
    "public.t JOIN": [],
    "a; DROP TABLE x": [],
    "SELECT": [],
    "(" * 5000 + "a" + ")" * 5000: [],
}


@pytest.mark.parametrize("sql", CASES, ids=lambda sql: sql[:60])
def test_tables_of_a_from_clause_are_those_that_its_sql_names(sql: str) -> None:
    assert sorted(".".join(name) for name in tables_in(sql)) == CASES[sql]


def test_each_mapped_table_is_an_external_asset_below_the_prefix() -> None:
    upstream, specs = upstream_specs(NAMES, default_mapping(), {}, "group")
    assert [spec.key for spec in specs] == upstream
    assert {spec.key.to_user_string(): spec.metadata["dagster/table_name"] for spec in specs} == {
        "org_v23/source/public/tenants": "public.tenants",
        "org_v23/source/public/teams": "public.teams",
        "org_v23/source/public/team_members": "public.team_members",
        "org_v23/target/public/org_units": "public.org_units",
        "org_v23/target/public/org_unit_memberships": "public.org_unit_memberships",
    }


def test_table_with_a_key_of_its_own_is_upstream_without_another_asset() -> None:
    teams = dg.AssetKey(["ingest", "teams"])
    upstream, specs = upstream_specs(NAMES, default_mapping(), {"public.teams": teams}, "group")
    assert teams in upstream
    assert len(upstream) == 5
    assert len(specs) == 4


def test_key_for_a_table_that_the_mapping_does_not_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^upstream: public\.team is not a table .*, public\.teams, "):
        upstream_specs(NAMES, default_mapping(), {"public.team": dg.AssetKey("x")}, "group")
