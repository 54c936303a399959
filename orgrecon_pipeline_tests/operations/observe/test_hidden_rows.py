"""Relations and SQL that can hide rows: what cannot be vouched for is refused, and the rest is compared with a warning.

Each refused relation stands for every place of a mapping that reads one, and on either side.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.mapping.model import Heartbeat
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.operations.doctor import diagnose
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline_tests.support.operations.shards import ShardedSite, make_two_databases
from orgrecon_pipeline_tests.support.operations.site import READER, Site, fast_mapping, make_site

Connect = Callable[[str], psycopg.Connection[Any]]

FOREIGN = "CREATE FOREIGN DATA WRAPPER other", "CREATE SERVER other FOREIGN DATA WRAPPER other"
#: Statements that replace public.{table}, whose columns are {columns}, by a relation of another kind.
KEEP = "ALTER TABLE public.{table} RENAME TO kept", f"GRANT SELECT ON public.kept TO {READER}"
FILL = "INSERT INTO public.{table} SELECT * FROM public.kept"
VIEW = "CREATE VIEW public.{table} AS SELECT * FROM "
PARTITIONED = "CREATE TABLE public.{table} ({columns}) PARTITION BY LIST ({first})"
DEFAULT_PARTITION = "CREATE TABLE public.rest PARTITION OF public.{table} DEFAULT"

KINDS: dict[str, tuple[ReasonCode | None, tuple[str, ...]]] = {
    "table": (None, ()),
    "view": (None, (*KEEP, VIEW + "public.kept")),
    "partitioned table": (None, (*KEEP, PARTITIONED, DEFAULT_PARTITION, FILL)),
    "materialised view": (ReasonCode.STALE_VIEW, (
        *KEEP, "CREATE MATERIALIZED VIEW public.{table} AS SELECT * FROM public.kept")),
    "foreign table": (ReasonCode.FOREIGN_TABLE, (
        *KEEP, *FOREIGN, "CREATE FOREIGN TABLE public.{table} ({columns}) SERVER other")),
    "view of a foreign table": (ReasonCode.FOREIGN_TABLE, (
        *KEEP, *FOREIGN, "CREATE FOREIGN TABLE public.away ({columns}) SERVER other",
        VIEW + "public.kept UNION ALL SELECT * FROM public.away")),
    "foreign partition": (ReasonCode.FOREIGN_TABLE, (
        *KEEP, *FOREIGN, PARTITIONED, DEFAULT_PARTITION, FILL,
        "CREATE FOREIGN TABLE public.away PARTITION OF public.{table} FOR VALUES IN ('2000-01-01') SERVER other")),
    "foreign child": (ReasonCode.FOREIGN_TABLE, (
        *FOREIGN, "CREATE FOREIGN TABLE public.away () INHERITS (public.{table}) SERVER other")),
    "view of a foreign partition": (ReasonCode.FOREIGN_TABLE, (
        *KEEP, *FOREIGN, PARTITIONED.replace("{table}", "parts"), DEFAULT_PARTITION.replace("{table}", "parts"),
        "CREATE FOREIGN TABLE public.away PARTITION OF public.parts FOR VALUES IN ('2000-01-01') SERVER other",
        FILL.replace("{table}", "parts"), VIEW + "public.parts")),
    "sampling view": (ReasonCode.TABLE_SAMPLE, (*KEEP, VIEW + "public.kept TABLESAMPLE SYSTEM (100)")),
    "limiting view": (ReasonCode.ROW_LIMIT, (*KEEP, VIEW + "public.kept LIMIT 1000000")),
    "view of a limiting view": (ReasonCode.ROW_LIMIT, (
        *KEEP, "CREATE VIEW public.some AS SELECT * FROM public.kept OFFSET 1", VIEW + "public.some")),
    "random view": (ReasonCode.VOLATILE_FUNCTION, (*KEEP, VIEW + "public.kept WHERE random() < 2")),
    "view that calls its own volatile function": (ReasonCode.VOLATILE_FUNCTION, (
        *KEEP, "CREATE FUNCTION public.chance() RETURNS boolean LANGUAGE sql AS 'SELECT true'",
        VIEW + "public.kept WHERE public.chance()")),
}
#: For each place: the table that is read there, and its first column.
PLACES = {
    "source": ("teams", "tenant_id"), "target": ("org_unit_memberships", "tenant_id"), "universe": ("tenants", "id"),
    "heartbeat": ("beats", "at"),
}


def with_heartbeat(site: Site) -> None:
    site.run("CREATE TABLE public.beats (at timestamptz)", "INSERT INTO public.beats VALUES (now())",
             f"GRANT SELECT ON public.beats TO {READER}")
    site.mapping = fast_mapping(heartbeat=Heartbeat.model_validate({"from": "public.beats", "at": "at"}))


def replace_table(connection: psycopg.Connection[Any], kind: str, table: str, first: str) -> None:
    row = connection.execute(
        "SELECT string_agg(format('%%I %%s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum) "
        "FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0", [f"public.{table}"]).fetchone()
    assert row
    for statement in KINDS[kind][1]:
        connection.execute(statement.format(table=table, first=first, columns=row[0]))
    connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
def test_relation_kind_is_refused_wherever_it_is_read(site: Site, kind: str, place: str) -> None:
    with_heartbeat(site)
    replace_table(site.admin, kind, *PLACES[place])
    after = site.observe()
    code, _ = KINDS[kind]
    expected = (Verdict.INCONCLUSIVE, code) if code else (Verdict.PASS, ReasonCode.ZERO_DRIFT)
    assert (after.verdict, after.reason_code) == expected, after.reason
    assert after.compared.get("warnings", []) == []
    assert "\n" not in after.reason
    assert diagnose(site.context).ready is (code is None)


@pytest.mark.parametrize("side", ["source", "target"])
def test_foreign_table_in_one_of_two_databases_is_refused(
    new_database: Callable[..., str], template: str, connect: Connect, tmp_path: Path, side: str
) -> None:
    source, target = new_database(template), new_database(template)
    site = make_two_databases(connect(source), source, connect(target), target, tmp_path)
    assert site.observe().verdict is Verdict.PASS
    replace_table(site.admin if side == "source" else site.target_admin, "foreign partition", *PLACES[side])
    after = site.observe()
    assert (after.verdict, after.reason_code) == (Verdict.INCONCLUSIVE, ReasonCode.FOREIGN_TABLE), after.reason
    [problem] = [finding for finding in diagnose(site.context).findings if finding.level == "problem"]
    assert problem.topic.startswith(f"{side}: ")
    assert "public.away is a foreign table" in problem.text


def test_foreign_table_in_one_shard_is_refused(shards: ShardedSite) -> None:
    replace_table(shards.admins["eu1"], "foreign table", *PLACES["source"])
    after = shards.observe()
    assert after.verdict is Verdict.INCONCLUSIVE
    assert "eu1" in after.reason
    assert "public.teams is a foreign table" in after.reason


def edit(site: Site, where: str | None = None, column: str = "", relation: str = "") -> None:
    """Change the mapping of public.teams: add a condition (or drop it, if empty), a ``name``, or the relation."""
    entity = site.mapping.entities["org_units"]
    teams = entity.source[0]
    changed = teams.model_copy(update={
        "from_": relation or teams.from_,
        "where": teams.where if where is None else f"{teams.where} AND {where}" if where else None,
        "columns": {**teams.columns, **({"name": column} if column else {})}})
    site.mapping = site.mapping.model_copy(update={
        "entities": {**site.mapping.entities, "org_units": entity.model_copy(update={"source": (changed,)})}})


REFUSED_SQL: dict[str, tuple[ReasonCode, dict[str, str]]] = {
    "a sample": (ReasonCode.TABLE_SAMPLE, {"relation": "public.teams TABLESAMPLE BERNOULLI (100)"}),
    "a sample in a subquery": (ReasonCode.TABLE_SAMPLE, {
        "where": "id IN (SELECT x.id FROM public.teams x TABLESAMPLE SYSTEM (100))"}),
    "a limit": (ReasonCode.ROW_LIMIT, {"relation": "(SELECT * FROM public.teams LIMIT 1000000) AS t"}),
    "a limit without a subquery": (ReasonCode.ROW_LIMIT, {
        "relation": "public.teams WHERE deleted_at IS NULL LIMIT 1000000", "where": ""}),
    "an offset": (ReasonCode.ROW_LIMIT, {"relation": "(SELECT * FROM public.teams OFFSET 1) AS t"}),
    "a fetch": (ReasonCode.ROW_LIMIT, {
        "relation": "(SELECT * FROM public.teams FETCH FIRST 1000000 ROWS ONLY) AS t"}),
    "a limit in a CTE": (ReasonCode.ROW_LIMIT, {
        "relation": "(WITH w AS (SELECT * FROM public.teams LIMIT 1000000) SELECT * FROM w) AS t"}),
    "a limit in a union": (ReasonCode.ROW_LIMIT, {
        "relation": "(SELECT * FROM public.teams UNION (SELECT * FROM public.teams LIMIT 5)) AS t"}),
    "a computed limit": (ReasonCode.ROW_LIMIT, {
        "relation": "(SELECT * FROM public.teams LIMIT (SELECT count(*) FROM public.teams)) AS t"}),
    "a limit in IN": (ReasonCode.ROW_LIMIT, {"where": "id IN (SELECT x.id FROM public.teams x LIMIT 1000000)"}),
    "several rows of each": (ReasonCode.ROW_LIMIT, {
        "relation": "(SELECT t.* FROM public.tenants n, LATERAL (SELECT * FROM public.teams x WHERE x.tenant_id = n.id "
                    "ORDER BY x.id LIMIT 1000) t) AS t"}),
    "any row of each": (ReasonCode.ROW_LIMIT, {
        "relation": "public.teams t CROSS JOIN LATERAL (SELECT x.id AS i FROM public.teams x LIMIT 1) l"}),
    "random() in where": (ReasonCode.VOLATILE_FUNCTION, {"where": "random() < 2"}),
    "clock_timestamp() in where": (ReasonCode.VOLATILE_FUNCTION, {"where": "clock_timestamp() > '2000-01-01'"}),
    "random() in a column": (ReasonCode.VOLATILE_FUNCTION, {"column": "left(name || random()::text, length(name))"}),
    "random() in from": (ReasonCode.VOLATILE_FUNCTION, {
        "relation": "(SELECT * FROM public.teams ORDER BY random()) AS t"}),
    "a volatile function of the user": (ReasonCode.VOLATILE_FUNCTION, {"column": "public.chance(name)"}),
    "a volatile function behind an operator": (ReasonCode.VOLATILE_FUNCTION, {
        "where": "name OPERATOR(public.##) name"}),
}


@pytest.mark.parametrize("case", REFUSED_SQL)
def test_sql_that_can_drop_rows_is_refused(site: Site, case: str) -> None:
    site.run("CREATE FUNCTION public.chance(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN $1; END'",
             "CREATE FUNCTION public.alike(text, text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN true; END'",
             "CREATE OPERATOR public.## (LEFTARG = text, RIGHTARG = text, FUNCTION = public.alike)")
    code, change = REFUSED_SQL[case]
    edit(site, **change)
    after = site.observe()
    assert (after.verdict, after.reason_code) == (Verdict.INCONCLUSIVE, code), after.reason
    assert after.reason.startswith("org_units.source ")
    assert not diagnose(site.context).ready


def test_volatile_function_within_a_body_is_refused(site: Site) -> None:
    """The server analyses such a body when the function is created, so a wrong label hides nothing."""
    if site.admin.info.server_version < 140_000:
        pytest.skip("bodies of SQL are parsed since PostgreSQL 14")
    site.run("CREATE FUNCTION public.half(text) RETURNS text LANGUAGE sql STABLE "
             "BEGIN ATOMIC SELECT $1 WHERE random() < 2; END")
    edit(site, column="public.half(name)")
    after = site.observe()
    assert after.reason_code is ReasonCode.VOLATILE_FUNCTION
    assert after.reason.startswith("function public.half(text) calls random(), which is volatile")


@pytest.mark.parametrize("at", ["now()", "greatest(at, current_timestamp)"])
def test_heartbeat_computed_from_the_current_time_is_refused(site: Site, at: str) -> None:
    with_heartbeat(site)
    heartbeat = Heartbeat.model_validate({"from": "public.beats", "at": at})
    site.mapping = site.mapping.model_copy(update={
        "scan": site.mapping.scan.model_copy(update={"heartbeat": heartbeat})})
    after = site.observe()
    assert (after.verdict, after.reason_code) == (Verdict.INCONCLUSIVE, ReasonCode.VOLATILE_FUNCTION)
    assert after.reason.startswith("scan.heartbeat: at is computed from ")


ORDINARY_SQL: dict[str, dict[str, str]] = {
    "an offset of 0": {"relation": "(SELECT * FROM public.teams OFFSET 0) AS t"},
    "no limit": {"relation": "(SELECT * FROM public.teams LIMIT ALL) AS t"},
    "the first row of each": {
        "relation": "public.teams t LEFT JOIN LATERAL (SELECT x.id AS i FROM public.teams x WHERE x.tenant_id = "
                    "t.tenant_id ORDER BY x.id DESC LIMIT 1) l ON true"},
    "a value": {"column": "(SELECT n.name FROM public.teams n WHERE (n.tenant_id, n.id) = (teams.tenant_id, teams.id) "
                          "LIMIT 1)"},
    "an EXISTS": {"where": "EXISTS (SELECT FROM public.tenants n WHERE n.id = tenant_id LIMIT 1)"},
    "DISTINCT ON": {"relation": "(SELECT DISTINCT ON (tenant_id, id) * FROM public.teams ORDER BY tenant_id, id) AS t"},
    "a CTE, a window and a union": {
        "relation": "(WITH w AS (SELECT *, row_number() OVER (PARTITION BY tenant_id, id) AS n FROM public.teams) "
                    "SELECT * FROM w WHERE n = 1 UNION SELECT * FROM w WHERE n = 1) AS t"},
    "minimum and maximum": {"where": "id BETWEEN (SELECT min(id) FROM public.teams) AND (SELECT max(id) FROM "
                                     "public.teams)"},
    "rows of a function": {"relation": "public.teams t CROSS JOIN generate_series(1, 1) AS g"},
    "a stable function": {"column": "public.steady(name)"},
    "a function without a result": {"where": "(SELECT pg_catalog.pg_sleep(0)) IS NOT NULL"},
    "words in names and texts": {
        "where": "'random() LIMIT 1 now' <> name",
        "relation": "(SELECT *, 1 AS \"limit :funcid 1598 {\", 2 AS \":limitCount\" FROM public.teams) AS t"},
}


@pytest.mark.parametrize("case", ORDINARY_SQL)
def test_ordinary_sql_passes_without_a_warning(site: Site, case: str) -> None:
    site.run("CREATE FUNCTION public.steady(text) RETURNS text LANGUAGE plpgsql STABLE AS 'BEGIN RETURN $1; END'")
    edit(site, **ORDINARY_SQL[case])
    after = site.observe()
    assert (after.verdict, after.compared.get("warnings")) == (Verdict.PASS, []), after.reason


HIDING_VIEW = ("ALTER TABLE public.teams RENAME TO kept",
               "CREATE VIEW public.teams AS SELECT * FROM public.kept WHERE {}",
               f"GRANT SELECT ON public.teams TO {READER}")
WARNED: dict[str, tuple[str, str, list[str], str]] = {
    "now() in where": ("depends_on_time", "org_units.source", ["now"], "now() > '2020-01-01'"),
    "current_date in where": ("depends_on_time", "org_units.source", ["current_date"], "current_date > '2020-01-01'"),
    "a word for a time": ("depends_on_time", "org_units.source", ["'yesterday'"],
                          "coalesce(deleted_at, '2000-01-01') < timestamptz 'yesterday'"),
    "an age": ("depends_on_time", "org_units.source", ["age"], "age(timestamptz '2020-01-01') > '1 day'"),
    "a setting": ("depends_on_setting", "org_units.source", ["app.tenant"],
                  "coalesce(current_setting('app.tenant', true), '') = ''"),
    "the role": ("depends_on_role", "org_units.source", ["current_user", "session_user"],
                 "current_user = session_user"),
    "a privilege": ("depends_on_role", "org_units.source", ["has_table_privilege"],
                    "has_table_privilege('public.teams', 'SELECT')"),
    "a function's text": ("depends_on_setting", "function public.scoped()", ["current_setting"], "public.scoped()"),
}


@pytest.mark.parametrize("case", WARNED)
def test_sql_that_depends_on_more_than_the_rows_is_compared_with_a_warning(site: Site, case: str) -> None:
    site.run("CREATE FUNCTION public.scoped() RETURNS boolean LANGUAGE plpgsql STABLE AS "
             "$$ BEGIN RETURN coalesce(Current_Setting('app.tenant', true), '') = ''; END $$")
    code, subject, names, where = WARNED[case]
    edit(site, where=where)
    said: list[str] = []
    after = site.observe(progress=said.append)
    assert after.verdict is Verdict.PASS, after.reason
    [warning] = after.compared["warnings"]
    assert (warning["code"], warning["subject"], warning["names"]) == (code, subject, names)
    assert f"warning: {warning['text']}" in said
    diagnosis = diagnose(site.context)
    assert diagnosis.ready
    assert warning["text"] in [finding.text for finding in diagnosis.findings if finding.level == "warning"]


@pytest.mark.parametrize(("condition", "code"), [
    ("tenant_id <> coalesce(current_setting('app.hide', true), '')", "depends_on_setting"),
    ("created > now() - interval '100 years'", "depends_on_time"), ("current_user <> 'nobody'", "depends_on_role"),
])
def test_view_that_depends_on_more_than_the_rows_is_compared_with_a_warning(
    site: Site, condition: str, code: str
) -> None:
    site.run("ALTER TABLE public.teams ADD COLUMN created timestamptz DEFAULT now()",
             *(statement.format(condition) for statement in HIDING_VIEW))
    after = site.observe()
    assert after.verdict is Verdict.PASS, after.reason
    assert [(warning["code"], warning["subject"]) for warning in after.compared["warnings"]] == [
        (code, "view public.teams")]


def test_custom_settings_are_named_and_emptied(site: Site) -> None:
    """The setting hides the only tenant with a loss, from the view of one side and the condition of the other."""
    [(tenant,)] = site.admin.execute("SELECT min(id) FROM public.tenants").fetchall()
    hiding = "tenant_id <> coalesce(current_setting('app.hide', true), '')"
    site.run(*(statement.format(hiding) for statement in HIDING_VIEW))
    entity = site.mapping.entities["org_units"]
    target = entity.target[0].model_copy(update={"where": f"{entity.target[0].where} AND u.{hiding}"})
    site.mapping = site.mapping.model_copy(update={
        "entities": {"org_units": entity.model_copy(update={"target": (target,)})}})
    database = site.admin.info.dbname
    site.run(f"ALTER DATABASE {database} SET app.hide = '{tenant}'", f"ALTER ROLE {READER} SET other.secret = 's3cret'",
             f"ALTER ROLE {READER} SET plan_cache_mode = auto", f"UPDATE public.kept SET name = 'x' WHERE tenant_id = "
             f"'{tenant}' AND deleted_at IS NULL")
    try:
        after = site.observe()
        findings = diagnose(site.context).findings
    finally:
        site.run(f"ALTER ROLE {READER} RESET ALL")
    assert after.verdict is Verdict.FAIL, "the setting hides the drift"
    [warning] = [warning for warning in after.compared["warnings"] if warning["code"] == "custom_settings"]
    assert warning["names"] == ["app.hide", "other.secret"]
    assert warning["text"] in [finding.text for finding in findings]
    assert "s3cret" not in after.model_dump_json()
    assert tenant not in str(after.compared["warnings"])


def test_custom_setting_in_the_options_of_the_connection_is_emptied(site: Site) -> None:
    site.run(*(statement.format("coalesce(current_setting('app.hide', true), '') = ''") for statement in HIDING_VIEW))
    site.dsn += "&options=-c%20app.hide%3Dyes"
    after = site.observe()
    assert after.verdict is Verdict.PASS, after.reason
    assert ["app.hide"] in [warning["names"] for warning in after.compared["warnings"]]


def test_warning_of_one_shard_names_it(shards: ShardedSite) -> None:
    admin = shards.admins["eu1"]
    for statement in HIDING_VIEW:
        admin.execute(statement.format("now() > '2020-01-01'"))
    after = shards.observe()
    assert after.verdict is Verdict.PASS, after.reason
    [warning] = after.compared["warnings"]
    assert (warning["code"], warning["databases"]) == ("depends_on_time", ["eu1"])
    assert warning["text"].startswith("eu1: view public.teams depends on the time of the run (now)")


def test_proxy_that_withholds_the_messages_is_warned_about(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "parse_tree", lambda *arguments: Session.describe(*arguments) and "")
    after = site.observe()
    assert after.verdict is Verdict.PASS
    assert {warning["code"] for warning in after.compared["warnings"]} == {"not_inspected"}
    assert [warning["subject"] for warning in after.compared["warnings"]][-1] == "tenants"


@pytest.fixture
def server_with_fdw(server: EmbeddedServer) -> EmbeddedServer:
    """The server of the tests, if it has postgres_fdw."""
    with psycopg.connect(server.dsn()) as connection:
        query = "SELECT FROM pg_available_extensions WHERE name = 'postgres_fdw'"
        if connection.execute(query).fetchone() is None:
            pytest.skip("this PostgreSQL has no postgres_fdw")
    return server


@pytest.mark.parametrize("partition", [False, True])
def test_rows_hidden_on_the_other_server_of_a_foreign_table_never_pass(
    server_with_fdw: EmbeddedServer, template_sql: str, tmp_path: Path, partition: bool
) -> None:
    """Row-level security on the other server hides a tenant's lost memberships: nothing but the refusal shows it."""
    name = f"orgs_{partition}".lower()
    with (
        psycopg.connect(server_with_fdw.create_database(name), autocommit=True) as admin,
        psycopg.connect(server_with_fdw.create_database(f"other_{name}"), autocommit=True) as other,
    ):
        admin.execute(template_sql)
        site = make_site(admin, server_with_fdw.dsn(name), tmp_path, tenants=3)
        columns = "(tenant_id text, org_unit_id uuid, user_id uuid, role text)"
        other.execute(f"CREATE TABLE public.org_unit_memberships {columns}")
        rows = admin.execute("SELECT tenant_id, org_unit_id, user_id, role FROM public.org_unit_memberships").fetchall()
        with other.cursor().copy("COPY public.org_unit_memberships FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        lost = rows[0][0]
        admin.execute("DELETE FROM public.team_members WHERE tenant_id = %s", [lost])
        other.execute(
            f"GRANT SELECT ON public.org_unit_memberships TO {READER}; "
            "ALTER TABLE public.org_unit_memberships ENABLE ROW LEVEL SECURITY; "
            f"CREATE POLICY p ON public.org_unit_memberships USING (tenant_id <> '{lost}')")
        foreign = "SERVER other OPTIONS (schema_name 'public', table_name 'org_unit_memberships')"
        admin.execute(
            "CREATE EXTENSION postgres_fdw; "
            f"CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname 'other_{name}', "
            f"host '{admin.info.host}'); "
            f"CREATE USER MAPPING FOR PUBLIC SERVER other OPTIONS (user '{READER}', password_required 'false'); "
            "DROP TABLE public.org_unit_memberships")
        if partition:
            admin.execute(
                f"CREATE TABLE public.org_unit_memberships {columns} PARTITION BY LIST (tenant_id); "
                f"CREATE FOREIGN TABLE public.away PARTITION OF public.org_unit_memberships DEFAULT {foreign}")
        else:
            admin.execute(f"CREATE FOREIGN TABLE public.org_unit_memberships {columns} {foreign}")
        admin.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}")
        with psycopg.connect(site.dsn) as reader:
            shown = reader.execute("SELECT count(*) FROM public.org_unit_memberships").fetchone()
        assert shown == admin.execute("SELECT count(*) FROM public.team_members").fetchone() != (len(rows),), (
            "without the refusal, the rows that only the target has would be hidden")
        after = site.observe()
        assert (after.verdict, after.reason_code) == (Verdict.INCONCLUSIVE, ReasonCode.FOREIGN_TABLE), after.reason
        admin.execute("ALTER SERVER other OPTIONS (port '1')")
        assert site.observe().reason_code is ReasonCode.FOREIGN_TABLE, "the other server is not even contacted"
