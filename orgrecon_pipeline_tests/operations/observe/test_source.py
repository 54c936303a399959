"""The source database: pinned databases, and settings, views and functions that change what a session reads."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.operations.observe.acknowledge import accept_source
from orgrecon_pipeline.operations.trail.importer import import_trail
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.operations.site import READER, Site, make_site

Connect = Callable[[str], psycopg.Connection[Any]]
A_LOSS = "DELETE FROM public.team_members WHERE ctid = (SELECT min(ctid) FROM public.team_members)"


def test_other_database_of_the_same_server_is_inconclusive_until_accepted(
    site: Site, new_database: Callable[..., str], template: str, connect: Connect, tmp_path: Path
) -> None:
    first = site.observe()
    assert first.verdict is Verdict.PASS
    with pytest.raises(UsageError, match="pinned database"):
        accept_source(site.context, "nothing has moved, really")
    old_dsn, dsn = site.dsn, new_database(template)
    site.dsn = make_site(connect(dsn), dsn, tmp_path).dsn
    refused = site.observe()
    assert refused.verdict is Verdict.INCONCLUSIVE
    known, other = first.compared["source"], refused.compared["source"]
    assert known["database"] != other["database"]
    for side in (known, other):
        assert f"'{side['database']}' on server {side['system_identifier']}" in refused.reason
    assert "orgrecon accept-source" in refused.reason
    with pytest.raises(UsageError, match="reason is too short"):
        accept_source(site.context, "ok")
    assert accept_source(site.context, "moved to the new cluster")["source"]["database"] == other["database"]
    assert site.observe().verdict is Verdict.PASS
    site.dsn = old_dsn  # no longer the pinned database
    assert site.observe().verdict is Verdict.INCONCLUSIVE


def test_other_server_with_the_same_database_name_is_inconclusive(
    site: Site, template_sql: str, tmp_path: Path
) -> None:
    first = site.observe()
    with tempfile.TemporaryDirectory(prefix="orgrecon-pg-") as place, EmbeddedServer(Path(place)) as other:
        dsn = other.create_database(first.compared["source"]["database"])
        with psycopg.connect(dsn, autocommit=True) as admin:
            admin.execute(template_sql)
            site.dsn = make_site(admin, dsn, tmp_path).dsn
            refused = site.observe()
    assert refused.verdict is Verdict.INCONCLUSIVE
    for seen in (first, refused):
        assert str(seen.compared["source"]["system_identifier"]) in refused.reason


def test_pin_survives_a_rebuilt_ledger(
    site: Site, new_database: Callable[..., str], template: str, connect: Connect, tmp_path: Path
) -> None:
    """A ledger rebuilt from the trail pins the database that was accepted last."""
    assert site.observe().verdict is Verdict.PASS
    old_dsn, dsn = site.dsn, new_database(template)
    site.dsn = make_site(connect(dsn), dsn, tmp_path).dsn
    site.observe()
    accept_source(site.context, "moved to the new cluster")
    assert site.observe().verdict is Verdict.PASS
    publish(site.context, site.context.clock.today())
    rebuilt = replace(site, ledger=open_ledger(f"sqlite:///{tmp_path / 'rebuilt.db'}"))
    assert import_trail(rebuilt.ledger, rebuilt.context.output_dir).refused == ()
    assert rebuilt.observe().verdict is Verdict.PASS
    rebuilt.dsn = old_dsn
    assert "run orgrecon accept-source" in rebuilt.observe().reason


def test_later_observation_overrides_an_earlier_acceptance(
    site: Site, new_database: Callable[..., str], template: str, connect: Connect, tmp_path: Path
) -> None:
    """The database moved twice, and the second move was accepted in another ledger whose trail is imported."""
    homes = [site.dsn]
    for place in ("first", "second"):
        dsn = new_database(template)
        homes.append(make_site(connect(dsn), dsn, tmp_path).dsn)
        keeper = site if place == "first" else replace(
            site, ledger=open_ledger(f"sqlite:///{tmp_path / 'another.db'}"))
        keeper.observe()
        keeper.dsn = homes[-1]
        keeper.observe()
        accept_source(keeper.context, "moved to the new cluster")
        assert keeper.observe().verdict is Verdict.PASS
    publish(keeper.context, site.context.clock.today())
    assert import_trail(site.ledger, site.context.output_dir).observations == 3
    verdicts = [replace(site, dsn=home).observe().verdict for home in homes]
    assert verdicts == [Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE, Verdict.PASS]


@pytest.mark.parametrize("setting", [
    "search_path = decoy, public", "row_security = on", "row_security = off", "statement_timeout = 1",
    "lock_timeout = 1", "idle_in_transaction_session_timeout = 1", "transaction_timeout = 0",
    "default_transaction_isolation = 'read uncommitted'", "default_transaction_read_only = off",
    "client_encoding = 'SQL_ASCII'", "client_encoding = 'LATIN1'", "DateStyle = 'German'", "TimeZone = 'Asia/Kolkata'",
    "IntervalStyle = 'postgres_verbose'", "extra_float_digits = -15", "bytea_output = escape",
    "transform_null_equals = on", "standard_conforming_strings = on", "array_nulls = off", "lc_messages = 'C'",
    "enable_hashagg = off", "work_mem = '64kB'", "default_transaction_deferrable = on", "xmloption = document",
])
def test_role_settings_do_not_change_the_result(site: Site, setting: str) -> None:
    """Despite a decoy schema and non-Latin names, exactly the one drifting key is found under every setting."""
    name = setting.split(" = ")[0].lower()
    if site.admin.execute("SELECT FROM pg_settings WHERE lower(name) = %s", [name]).fetchone() is None:
        pytest.skip(f"this server has no {name}")
    site.run("CREATE SCHEMA decoy", f"GRANT USAGE ON SCHEMA decoy TO {READER}",
             *(f"CREATE TABLE decoy.{table} (LIKE public.{table})"
               for table in ("tenants", "teams", "team_members", "org_units", "org_unit_memberships")),
             f"GRANT SELECT ON ALL TABLES IN SCHEMA decoy TO {READER}",
             "UPDATE public.teams SET name = U&'\\0416\\4F60' || name",
             "UPDATE public.org_units SET name = U&'\\0416\\4F60' || name", A_LOSS)
    database = site.admin.info.dbname
    site.run(f"ALTER ROLE {READER} IN DATABASE {database} SET {setting}")
    after = site.observe()
    assert (after.verdict, after.entities["org_unit_memberships"].unexpected) == (Verdict.FAIL, 1), after.reason
    assert (after.tenants_scanned, after.tenants_with_drift) == (12, 1)


def test_text_that_is_not_utf8_is_inconclusive(server: EmbeddedServer, template_sql: str, tmp_path: Path) -> None:
    """A SQL_ASCII database can contain any bytes; they must not appear in the reason."""
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE without_encoding TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
    try:
        with psycopg.connect(server.dsn("without_encoding"), autocommit=True, client_encoding="UTF8") as admin:
            admin.execute(template_sql)
            site = make_site(admin, server.dsn("without_encoding"), tmp_path, tenants=2)
            site.run("SET client_encoding = 'SQL_ASCII'",
                     "INSERT INTO public.teams VALUES (E'secret\\xff', 1, 'x', NULL, NULL)")
            after = site.observe()
        assert after.verdict is Verdict.INCONCLUSIVE
        assert "not valid UTF-8" in after.reason
        assert "secret" not in after.model_dump_json()
    finally:
        server.drop_database("without_encoding")


def test_role_switched_by_a_setting_is_inconclusive(site: Site) -> None:
    """The setting ``role`` switches the sessions of a role to another role with fewer privileges."""
    assert site.observe().verdict is Verdict.PASS
    site.run("DO $$ BEGIN CREATE ROLE orgrecon_blind; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
             f"GRANT orgrecon_blind TO {READER}",
             f"ALTER ROLE {READER} IN DATABASE {site.admin.info.dbname} SET role = orgrecon_blind")
    after = site.observe()
    assert after.verdict is Verdict.INCONCLUSIVE
    assert "the role lacks a permission" in after.reason


# Views and functions.

def through_views(site: Site, *sides: str, where: str = "true") -> None:
    text = site.mapping.model_dump_json(by_alias=True)
    for table in sides:
        site.run(f"CREATE VIEW public.{table}_view AS SELECT * FROM public.{table} WHERE {where}",
                 f"GRANT SELECT ON public.{table}_view TO {READER}")
        assert f"\"public.{table}\"" in text or f"\"public.{table} " in text
        text = text.replace(f"\"public.{table}\"", f"\"public.{table}_view\"")
        text = text.replace(f"\"public.{table} ", f"\"public.{table}_view ")
    site.mapping = type(site.mapping).model_validate_json(text)


def test_view_of_the_whole_table_passes(site: Site) -> None:
    through_views(site, "teams", "org_units")
    site.run(f"REVOKE SELECT ON public.teams FROM {READER}")  # the view's owner reads the table
    assert site.observe().verdict is Verdict.PASS


def test_view_that_hides_rows_of_one_side_fails(site: Site) -> None:
    through_views(site, "teams", where="tenant_id > 'c'")
    assert site.observe().verdict is Verdict.FAIL


def test_views_that_start_to_hide_rows_are_inconclusive(site: Site) -> None:
    site.run("CREATE TABLE public.hidden (yes boolean)", f"GRANT SELECT ON public.hidden TO {READER}")
    through_views(site, "teams", "team_members", "org_units", "org_unit_memberships",
                  where="NOT EXISTS (SELECT FROM public.hidden)")
    assert site.observe().verdict is Verdict.PASS
    site.run("INSERT INTO public.hidden VALUES (true)")
    after = site.observe()
    assert after.verdict is Verdict.INCONCLUSIVE
    assert "coverage lost" in after.reason


@pytest.mark.parametrize("owner", [READER, "orgrecon_owner"])
def test_row_level_security_behind_a_view_is_inconclusive(site: Site, owner: str) -> None:
    """Row-level security applies to the view's owner, so the reader's own privileges do not show it."""
    site.run("DO $$ BEGIN CREATE ROLE orgrecon_owner; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
             "GRANT SELECT ON ALL TABLES IN SCHEMA public TO orgrecon_owner")
    through_views(site, "teams", "org_units")
    assert site.observe().verdict is Verdict.PASS
    site.run(*(f"ALTER VIEW public.{table}_view OWNER TO {owner}" for table in ("teams", "org_units")),
             *(f"ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY" for table in ("teams", "org_units")),
             *(f"CREATE POLICY p ON public.{table} USING (false)" for table in ("teams", "org_units")))
    after = site.observe()
    assert after.verdict is Verdict.INCONCLUSIVE
    assert "row-level security" in after.reason


def test_function_that_enables_row_security_is_inconclusive(site: Site) -> None:
    site.run("CREATE FUNCTION public.its_name(text, bigint) RETURNS text LANGUAGE sql STABLE SET row_security = on AS "
             "$$ SELECT max(name) FROM public.teams WHERE tenant_id = $1 AND id = $2 $$")
    text = site.mapping.model_dump_json(by_alias=True)
    site.mapping = type(site.mapping).model_validate_json(
        text.replace('"name":"u.name"', '"name":"public.its_name(u.tenant_id, u.legacy_id)"'))
    assert site.observe().verdict is Verdict.PASS
    site.run("ALTER TABLE public.teams ENABLE ROW LEVEL SECURITY")
    assert site.observe().verdict is Verdict.INCONCLUSIVE


def test_function_that_reads_an_unmapped_table_is_inconclusive(site: Site) -> None:
    site.run("CREATE TABLE public.names (LIKE public.teams)", "INSERT INTO public.names SELECT * FROM public.teams",
             f"GRANT SELECT ON public.names TO {READER}",
             "CREATE FUNCTION public.its_name(t text, b bigint) RETURNS text LANGUAGE plpgsql STABLE AS "
             "$$ BEGIN RETURN (SELECT max(name) FROM public.names WHERE tenant_id = t AND id = b); END $$")
    text = site.mapping.model_dump_json(by_alias=True)
    site.mapping = type(site.mapping).model_validate_json(
        text.replace('"name":"u.name"', '"name":"public.its_name(u.tenant_id, u.legacy_id)"'))
    after = site.observe()
    assert after.verdict is Verdict.INCONCLUSIVE
    assert "public.names is read by a function and was not locked before the snapshot" in after.reason
