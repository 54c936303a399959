"""Differences between texts are found under collations that consider them equal.

The wheels have no ICU, so the tests of collations need another PostgreSQL, and are skipped without it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.compare import one_database
from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.demo.postgres_binaries import find_binaries, installed_binaries
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.mapping.model import Entity, MappingConfig
from orgrecon_pipeline.operations.diff import DiffRequest, DiffResult, diff
from orgrecon_pipeline_tests.support.operations.postgres_server import postgres_server
from orgrecon_pipeline_tests.support.operations.site import Site, make_site, open_site
from orgrecon_pipeline_tests.support.repair.scenario import MakeTables, RepairScenario, entity, table_scenario

ONE = ("(tenant_id, id) = (SELECT tenant_id, id FROM public.teams WHERE deleted_at IS NULL "
       "ORDER BY tenant_id, id DESC LIMIT 1)")
ITS_UNIT = ONE.replace("(tenant_id, id) =", "(tenant_id, legacy_id) =")


@pytest.fixture(scope="module")
def with_icu(template_sql: str) -> Iterator[str]:
    """The DSN of a server with ICU, whose template1 has the tables with a collation that ignores case and accents."""
    servers = [binaries for binaries in (find_binaries(), *installed_binaries())
               if b"libicui18n" in (binaries / "postgres").read_bytes()]
    if not servers:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            "no PostgreSQL with ICU is installed: install Debian's package postgresql")
    with postgres_server(servers[0]) as server:
        server.initialise()
        server.start()
        with psycopg.connect(server.dsn("template1"), autocommit=True) as admin:
            admin.execute("CREATE COLLATION public.loose (provider = icu, locale = 'und-u-ks-level1', "
                          "deterministic = false)")
            admin.execute(template_sql)
            for table, column in (("teams", "name"), ("org_units", "name"), ("team_members", "role"),
                                  ("org_unit_memberships", "role"), ("teams", "tenant_id"),
                                  ("org_units", "tenant_id"), ("team_members", "tenant_id"),
                                  ("org_unit_memberships", "tenant_id"), ("tenants", "id")):
                admin.execute(f"ALTER TABLE public.{table} ALTER {column} TYPE text COLLATE public.loose")
        yield server.dsn()


@pytest.fixture
def site(seeded_database: str, connect: Callable[[str], psycopg.Connection[Any]], tmp_path: Path) -> Site:
    """A site with twelve small tenants without drift, on the embedded server."""
    return open_site(connect(seeded_database), seeded_database, tmp_path)


@pytest.fixture
def loose(with_icu: str, tmp_path: Path) -> Iterator[Site]:
    with psycopg.connect(with_icu, autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS orgs WITH (FORCE)")
        admin.execute("CREATE DATABASE orgs TEMPLATE template1")
    dsn = with_icu.replace("/postgres?", "/orgs?")
    with psycopg.connect(dsn, autocommit=True) as admin:
        site = make_site(admin, dsn, tmp_path, tenants=4)
        [(equal,)] = admin.execute("SELECT 'Café' COLLATE public.loose = 'cafe'")
        assert equal, "the collation must ignore case and accents"
        yield site


@pytest.mark.parametrize(("source", "target"), [
    ("'Platform'", "'platform'"), ("U&'caf\\00E9'", "U&'cafe\\0301'"), ("'cafe'", "U&'caf\\00E9'"), ("'a'", "'ａ'"),
])
def test_values_equal_under_the_collation_only_are_mismatched(loose: Site, source: str, target: str) -> None:
    assert loose.observe().verdict is Verdict.PASS
    loose.run(f"UPDATE public.teams SET name = {source} WHERE {ONE}",
              f"UPDATE public.org_units SET name = {target} WHERE {ITS_UNIT}")
    after = loose.observe()
    assert (after.verdict, after.entities["org_units"].mismatched) == (Verdict.FAIL, 1), after.reason
    assert [(s.kind, s.columns) for s in loose.ledger.samples(after.id)] == [("mismatched", ("name",))]
    exact = loose.observe(exact=True)
    assert exact.entities["org_units"].mismatched == 1


@pytest.mark.parametrize("tenant", ["acme", "ACME", "Acmé"])
def test_ad_hoc_comparison_reads_only_the_tenant_with_exactly_that_name(loose: Site, tenant: str) -> None:
    for number, name in enumerate(("acme", "ACME", "Acmé"), start=990):
        loose.run(f"INSERT INTO public.teams (tenant_id, id, name) VALUES ('{name}', {number}, 'x')")
    (loose.directory / "orgrecon.yaml").write_text(loose.mapping.model_dump_json(by_alias=True, exclude_none=True))
    settings = read_settings({"DATABASE_URL": loose.dsn}, mapping_file=str(loose.directory / "orgrecon.yaml"))
    result = diff(settings, DiffRequest(tenant))
    assert (result.result, result.reason) == (DiffResult.DIFFERENT, "1 key differs.")
    assert result.comparison
    assert list(result.comparison.present) == [tenant]


def create_citext(site: Site) -> None:
    try:
        site.run("CREATE EXTENSION citext WITH SCHEMA public")
    except psycopg.Error as error:
        pytest.skip(f"this PostgreSQL has no citext: {error}")


@pytest.mark.parametrize(("column", "kinds"), [
    ("name", {"mismatched": 1}), ("tenant_id", {"missing": 1, "unexpected": 1}),
])
def test_citext_is_compared_as_text(site: Site, column: str, kinds: dict[str, int]) -> None:
    """The ``=`` of citext ignores case."""
    create_citext(site)
    tables = ("teams",) if column == "name" else ("teams", "team_members", "org_units", "org_unit_memberships")
    for table in tables:  # other columns stay text, which is considered the same type
        site.run(f"ALTER TABLE public.{table} ALTER {column} TYPE public.citext")
    before = site.observe()
    assert before.verdict is Verdict.PASS, before.reason
    site.run("INSERT INTO public.teams SELECT tenant_id, 998, 'x' FROM public.teams ORDER BY tenant_id LIMIT 1",
              "INSERT INTO public.org_units (tenant_id, legacy_id, kind, name) SELECT "
              f"{'upper(tenant_id)' if column == 'tenant_id' else 'tenant_id'}, 998, 'team', "
              f"{'$$X$$' if column == 'name' else '$$x$$'} FROM public.teams ORDER BY tenant_id LIMIT 1")
    units = site.observe().entities["org_units"]
    assert {kind: n for kind, n in units.model_dump().items() if kind in kinds} == kinds, units


@pytest.mark.parametrize("kind", ["public.citext[]", "public.holder"])
def test_type_that_contains_citext_is_compared_as_text(site: Site, kind: str) -> None:
    create_citext(site)
    site.run("CREATE TYPE public.holder AS (content public.citext)")
    lower = "lower(name)::public.citext"
    value = f"ARRAY[{lower}]" if kind.endswith("[]") else f"ROW({lower})::public.holder"
    for table in ("teams", "org_units"):
        site.run(f"ALTER TABLE public.{table} ALTER name TYPE {kind} USING {value}")
    before = site.observe()
    assert before.verdict is Verdict.PASS, before.reason
    site.run(f"UPDATE public.org_units SET name = upper(name::text)::{kind} WHERE {ITS_UNIT}")
    after = site.observe()
    assert (after.verdict, after.entities["org_units"].mismatched) == (Verdict.FAIL, 1), after.reason


@pytest.mark.parametrize(("kind", "source", "target"), [
    ("jsonb", '{"a": {"b": 1}, "c": 2}', '{"a": {"b": 1, "c": 2}}'), ("jsonb", "[[1], 2]", "[[1, 2]]"),
    ("integer[]", "{1,2,3,4}", "{{1,2},{3,4}}"), ("integer[]", "{1,2}", "[0:1]={1,2}"),
    ("text[]", "{a,NULL}", '{a,"NULL"}'),
])
def test_values_with_equal_hashes_on_the_server_are_mismatched(site: Site, kind: str, source: str, target: str) -> None:
    """PostgreSQL's hash of jsonb ignores where an object ends, and its hash of an array ignores the shape."""
    for table in ("teams", "org_units"):
        site.run(f"ALTER TABLE public.{table} ALTER name TYPE {kind} USING '{source}'::{kind}")
    assert site.observe().verdict is Verdict.PASS
    site.run(f"UPDATE public.org_units SET name = '{target}' WHERE {ITS_UNIT}")
    after = site.observe()
    assert (after.verdict, after.entities["org_units"].mismatched) == (Verdict.FAIL, 1), after.reason


def test_tenants_equal_under_the_collation_only_are_different_tenants(loose: Site) -> None:
    """A row whose tenant is in capitals in v2.3 is missing in one tenant and unexpected in the other."""
    before = loose.observe()
    loose.run("INSERT INTO public.teams SELECT tenant_id, 999, 'x' FROM public.teams ORDER BY tenant_id LIMIT 1",
              "INSERT INTO public.org_units (tenant_id, legacy_id, kind, name) SELECT upper(tenant_id), 999, 'team', "
              "'x' FROM public.teams ORDER BY tenant_id LIMIT 1")
    after = loose.observe()
    units = after.entities["org_units"]
    assert (after.verdict, units.missing, units.unexpected, units.mismatched) == (Verdict.FAIL, 1, 1, 0), after.reason
    assert after.tenants_scanned == (before.tenants_scanned or 0) + 1
    assert after.tenants_with_drift == 2


def test_tenants_equal_under_the_collation_only_are_counted_once_in_separate_batches(
    loose: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch also reads the rows of the other batch's tenant, and must not count them."""
    columns = {"tenant_id": "t", "k": "k", "v": "v"}
    loose.mapping = loose.mapping.model_copy(update={"tenants": None, "entities": {"things": Entity.model_validate({
        "key": ["k"], "compare": ["v"], "source": {"from": "public.old", "columns": columns},
        "target": {"from": "public.new", "columns": columns}})}})
    rows = {"old": ["A1x", "A1y", "A2x", "A2x", "a1x", "z1x"], "new": ["A1x", "A1y", "A2x", "a1x", "a5x", "z1x"]}
    for table, values in rows.items():
        loose.run(f"CREATE TABLE public.{table} (t text COLLATE public.loose, k text, v text)",
                  *(f"INSERT INTO public.{table} VALUES ('{t}', '{k}', '{v}')" for t, k, v in values))
    loose.run("GRANT SELECT ON public.old, public.new TO PUBLIC")
    for batch in (one_database.BATCH_ROWS, 1):
        monkeypatch.setattr(one_database, "BATCH_ROWS", batch)
        things = loose.observe().entities["things"]
        assert (things.unexpected, things.duplicate, things.missing, things.mismatched) == (1, 1, 0, 0), batch
        assert things.transient == 0


@pytest.fixture
def make_tables(with_icu: str, tmp_path: Path) -> Iterator[MakeTables]:
    """``make_tables(ddl)`` creates tables on a server with ICU collations and returns a scenario over them."""
    with psycopg.connect(with_icu, autocommit=True) as maintenance:
        maintenance.execute("DROP DATABASE IF EXISTS tables WITH (FORCE)")
        maintenance.execute("CREATE DATABASE tables TEMPLATE template1")
    dsn = with_icu.replace("/postgres?", "/tables?")
    with psycopg.connect(dsn, autocommit=True) as admin:

        def make(ddl: str) -> RepairScenario:
            admin.execute(ddl.encode())
            return table_scenario(admin, dsn, tmp_path, {"e": entity()})

        yield make


@pytest.mark.parametrize(("of_k", "of_v", "message"), [
    ("text COLLATE loose", "text", "k has the collation loose"),
    ("text", "text COLLATE loose", "v has the collation loose"),
    ("text", "strange", "v has the collation loose"),
    ("citext", "text", "k has the type citext"),
    ("text", "blind", "v has the type citext"),
])
def test_repair_aborts_if_a_type_compares_different_texts_as_equal(
    make_tables: MakeTables, of_k: str, of_v: str, message: str
) -> None:
    tables = make_tables(f"""
        CREATE EXTENSION citext; CREATE DOMAIN strange AS text COLLATE loose; CREATE DOMAIN blind AS citext;
        CREATE TABLE s (tenant_id text, k {of_k}, v {of_v}); CREATE TABLE t (tenant_id text, k {of_k}, v {of_v});
        INSERT INTO s VALUES ('a', 'A', 'x'), ('a', 'a', 'x'), ('a', 'c', 'x');
        INSERT INTO t VALUES ('a', 'A', 'x'), ('a', 'A', 'x'), ('a', 'a', 'x'), ('a', 'c', 'X')""")
    before, sql = tables.query("SELECT * FROM t"), tables.repair_sql()
    with pytest.raises(psycopg.errors.RaiseException, match=message):
        tables.apply(sql)
    assert tables.query("SELECT * FROM t") == before


def test_repair_works_if_the_mapping_casts_such_a_type(make_tables: MakeTables) -> None:
    tables = make_tables("""
        CREATE TABLE s (tenant_id text, k text, v text COLLATE loose); CREATE TABLE t (LIKE s);
        INSERT INTO s VALUES ('a', 'A', 'x'), ('a', 'a', 'y'); INSERT INTO t VALUES ('a', 'b', 'x')""")
    columns = {"tenant_id": "tenant_id", "k": "k", "v": 'v COLLATE "C"'}
    tables.use_mapping(MappingConfig.model_validate({"version": 1, "entities": {"e": entity(
        {"from": "public.s", "columns": columns}, {"from": "public.t", "columns": {**columns, "v": "v"}})}}))
    with pytest.raises(psycopg.errors.RaiseException, match="v has the collation loose"):
        tables.repair()
    tables.admin.execute("ALTER TABLE t ALTER v TYPE text COLLATE \"C\"")
    tables.repair()
    assert tables.query("SELECT * FROM t") == [("a", "A", "x"), ("a", "a", "y")]
