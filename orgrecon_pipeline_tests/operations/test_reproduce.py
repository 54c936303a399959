"""A database holds the rows of an observation exactly if its fingerprints are the stored ones; guards leave it open."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from orgrecon_pipeline.compare import engine
from orgrecon_pipeline.compare.queries.row_hash import RowHash
from orgrecon_pipeline.domain.errors import ConfigurationError, UsageError
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.operations.observe.observe import stamp_baseline
from orgrecon_pipeline.operations.reproduction.reproduce import Reproduction, ReproductionResult, reproduce
from orgrecon_pipeline.operations.trail.importer import import_trail
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline.operations.trail.redact_tenant import redact_tenant
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.ledger.cases import contents, raw_connection
from orgrecon_pipeline_tests.support.operations.shards import Connect, ShardedSite, make_two_databases
from orgrecon_pipeline_tests.support.operations.site import READER, Site

SAME, DIFFERENT, NOT_DECIDED = ReproductionResult
FIRST = "(SELECT min(tenant_id) FROM public.teams)"


def found(result: Reproduction) -> list[tuple[str, str, str, int, int]]:
    return [tuple(difference) for difference in result.differences]  # type: ignore[misc]


def test_unchanged_database_has_the_same_rows(site: Site) -> None:
    observation = site.observe()
    before = contents(site.ledger)
    result = reproduce(site.context)
    rows = sum(totals.rows or 0 for totals in observation.entities.values())
    assert (result.result, result.tenants, result.rows, result.method) == (SAME, 11, rows, "native")
    assert result.reason.startswith(f"The same rows, bit for bit: 11 tenants, {rows} rows of both sides, of the "
                                    "snapshot of 20")
    assert result.databases["source"]["database"] == observation.compared["source"]["database"]
    assert contents(site.ledger) == before, "it writes nothing"


def test_other_physical_order_has_the_same_rows(site: Site) -> None:
    site.observe()
    for table in ("teams", "team_members", "org_units", "org_unit_memberships"):
        site.run(f"CREATE TABLE public.shuffled AS SELECT * FROM public.{table} ORDER BY random()",
                 f"TRUNCATE public.{table}", f"INSERT INTO public.{table} SELECT * FROM public.shuffled",
                 "DROP TABLE public.shuffled")
    assert reproduce(site.context).result is SAME


CHANGES: dict[str, tuple[str, int, set[tuple[str, str]]]] = {
    "a changed value": (
        "UPDATE public.teams SET name = name || '!' WHERE ctid = (SELECT min(ctid) FROM public.teams)", 1,
        {("org_units", "source")}),
    "a removed row": (
        "DELETE FROM public.team_members WHERE ctid = (SELECT min(ctid) FROM public.team_members)", 1,
        {("org_unit_memberships", "source")}),
    "two rows swap a value": (
        "UPDATE public.team_members m SET role = o.role FROM public.team_members o WHERE m.ctid IN ({0}) AND o.ctid IN "
        "({0}) AND m.ctid <> o.ctid".format(
            "SELECT ctid FROM (SELECT ctid, row_number() OVER (PARTITION BY role ORDER BY ctid) AS n "
            f"FROM public.team_members WHERE tenant_id = {FIRST}) r WHERE n = 1 LIMIT 2"), 1,
        {("org_unit_memberships", "source")}),
    "both sides lose the same row": (
        f"DELETE FROM public.team_members WHERE tenant_id = {FIRST}; "
        f"DELETE FROM public.org_unit_memberships WHERE tenant_id = {FIRST}", 1,
        {("org_unit_memberships", "source"), ("org_unit_memberships", "target")}),
    "a removed tenant": (
        "CREATE TABLE public.gone AS SELECT min(tenant_id) AS t FROM public.teams; "
        + "; ".join(f"DELETE FROM public.{table} WHERE tenant_id = (SELECT t FROM public.gone)"
                    for table in ("team_members", "org_unit_memberships", "org_units", "teams")), 1,
        {(entity, side) for entity in ("org_units", "org_unit_memberships") for side in ("source", "target")}),
    "a renamed tenant": (
        "CREATE TABLE public.gone AS SELECT min(tenant_id) AS t FROM public.teams; "
        + "; ".join(f"UPDATE public.{table} SET tenant_id = 'zzz' WHERE tenant_id = (SELECT t FROM public.gone)"
                    for table in ("team_members", "org_unit_memberships", "org_units", "teams")), 2,
        {(entity, side) for entity in ("org_units", "org_unit_memberships") for side in ("source", "target")}),
    "a new tenant": (
        "INSERT INTO public.teams (tenant_id, id, name) SELECT 'new', max(id) + 1, 'x' FROM public.teams", 1,
        {("org_units", "source")}),
}


@pytest.mark.parametrize("case", CHANGES)
def test_changed_database_differs_in_the_changed_tenants(site: Site, case: str) -> None:
    statements, tenants, sides = CHANGES[case]
    site.observe()
    site.run("SET session_replication_role = replica", *statements.split("; "))
    result = reproduce(site.context)
    assert (result.result, result.differing_tenants) == (DIFFERENT, tenants), result.reason
    assert {(difference.entity, difference.side) for difference in result.differences} == sides
    named = result.differences[0].tenant
    assert reproduce(site.context, tenants=[named]).result is DIFFERENT
    others = sorted({tenant for (tenant,) in site.admin.execute("SELECT tenant_id FROM public.org_units")}
                    - {difference.tenant for difference in result.differences})
    assert reproduce(site.context, tenants=others[:1]).result is SAME
    assert reproduce(site.context, tenants=others).result is SAME
    assert reproduce(site.context, tenants=[*others, named]).result is DIFFERENT


def test_failed_day_is_reproduced_with_its_drift(site: Site) -> None:
    site.run("DELETE FROM public.team_members WHERE ctid = (SELECT min(ctid) FROM public.team_members)")
    assert site.observe().verdict is Verdict.FAIL
    assert reproduce(site.context).result is SAME
    site.run("DELETE FROM public.org_unit_memberships WHERE ctid = (SELECT min(ctid) FROM public.org_unit_memberships)")
    assert reproduce(site.context).result is DIFFERENT


def test_tenant_that_never_was_is_not_decided(site: Site) -> None:
    site.observe()
    [(known,)] = site.admin.execute("SELECT min(tenant_id) FROM public.teams")
    for tenants in (["nobody"], ["nobody", known]):
        result = reproduce(site.context, tenants=tenants)
        assert (result.result, "check the spelling" in result.reason) == (NOT_DECIDED, True), result.reason


def test_mapping_that_lists_columns_in_another_order_is_the_same(site: Site) -> None:
    """The record stores the columns in order of their names, so the hash must not depend on their order."""
    site.observe()
    values = json.loads(site.mapping.model_dump_json(by_alias=True))
    for entity in values["entities"].values():
        entity["key"].reverse()
        entity["compare"].reverse()
    other = MappingConfig.model_validate(values)
    assert other.digest == site.mapping.digest
    assert reproduce(replace(site, mapping=other).context).result is SAME


def test_stored_mapping_is_used_if_that_at_hand_is_another(site: Site) -> None:
    site.observe()
    values = json.loads(site.mapping.model_dump_json(by_alias=True))
    del values["entities"]["org_unit_memberships"]
    narrowed = replace(site, mapping=MappingConfig.model_validate(values))
    assert reproduce(narrowed.context).result is SAME
    site.run("DELETE FROM public.team_members WHERE ctid = (SELECT min(ctid) FROM public.team_members)")
    assert reproduce(narrowed.context).result is DIFFERENT


def test_long_sql_needs_the_mapping_of_the_day(site: Site) -> None:
    text = site.mapping.model_dump_json(by_alias=True)
    site.mapping = MappingConfig.model_validate_json(
        text.replace("deleted_at IS NULL", "deleted_at IS NULL AND true" + " AND true" * 300, 1))
    site.observe()
    assert reproduce(site.context).result is SAME
    result = reproduce(replace(site, mapping=MappingConfig.model_validate_json(text)).context)
    assert result.result is NOT_DECIDED
    assert "name the mapping file of that day with --mapping" in result.reason


def test_observation_of_another_version_is_not_decided(site: Site) -> None:
    observation = site.observe()
    compared = {**observation.compared, "comparison_version": 2}
    old = observation.model_copy(update={"id": "old", "compared": compared, "mapping_digest": "d" * 64})
    site.ledger.append(old, (), (), (), fingerprints=site.ledger.fingerprints(observation.id))
    result = reproduce(site.context, observation_id="old")
    assert result.result is NOT_DECIDED
    assert "was made by version 2 of the comparison" in result.reason


def test_observation_without_fingerprints_has_nothing_to_reproduce(site: Site, tmp_path: Path) -> None:
    today = site.context.clock.today()
    stamp_baseline(site.context, today - timedelta(days=1))
    assert "a baseline, which compared no rows" in reproduce(site.context, today - timedelta(days=1)).reason
    site.run("ALTER TABLE public.org_units ENABLE ROW LEVEL SECURITY")
    assert site.observe().verdict is Verdict.INCONCLUSIVE
    assert "INCONCLUSIVE and no comparison was completed" in reproduce(site.context).reason
    site.run("ALTER TABLE public.org_units DISABLE ROW LEVEL SECURITY")
    site.observe()
    publish(site.context, today)
    rebuilt = replace(site, ledger=open_ledger(f"sqlite:///{tmp_path / 'rebuilt.db'}"))
    import_trail(rebuilt.ledger, rebuilt.context.output_dir)
    result = reproduce(rebuilt.context)
    assert (result.result, "it was imported from a report" in result.reason) == (NOT_DECIDED, True), result.reason


@pytest.mark.parametrize("other", ["root", "seed", "probe", "nothing"])
def test_fingerprints_of_another_record_are_not_decided(site: Site, other: str) -> None:
    observation = site.observe()
    facts = {**observation.compared["fingerprints"], other: "1" * 64} if other != "nothing" else {}
    forged = observation.model_copy(update={
        "id": "forged", "compared": {**observation.compared, "fingerprints": facts}})
    site.ledger.append(forged, (), (), (), fingerprints=site.ledger.fingerprints(observation.id))
    result = reproduce(site.context, observation_id="forged")
    assert result.result is NOT_DECIDED
    assert "run orgrecon verify --ledger" in result.reason


def test_changed_pieces_of_fingerprints_are_not_decided(site: Site) -> None:
    observation = site.observe()
    path = site.directory / "ledger.db"
    with raw_connection(f"sqlite:///{path}") as connection:
        connection.execute("DROP TRIGGER orgrecon_tenant_set_no_delete")
        connection.execute("DELETE FROM orgrecon_tenant_set")
    with pytest.raises(ConfigurationError, match="restore it"):
        reproduce(site.context, observation_id=observation.id)


def test_unknown_day_or_observation_is_a_usage_error(site: Site, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no evidence"):
        reproduce(site.context)
    today = site.observe().day
    with pytest.raises(UsageError, match="has no evidence in the ledger"):
        reproduce(site.context, today - timedelta(days=1))
    with pytest.raises(UsageError, match="'nonsense' is not in the ledger"):
        reproduce(site.context, today, observation_id="nonsense")


def test_difference_by_time_dependent_sql_is_not_decided(site: Site) -> None:
    text = site.mapping.model_dump_json(by_alias=True)
    site.mapping = MappingConfig.model_validate_json(
        text.replace("deleted_at IS NULL", "deleted_at IS NULL AND now() > '2020-01-01'", 1))
    site.observe()
    assert reproduce(site.context).result is SAME
    site.run("DELETE FROM public.team_members WHERE ctid = (SELECT min(ctid) FROM public.team_members)")
    result = reproduce(site.context)
    assert result.result is NOT_DECIDED
    assert "1 of 11 tenants differs, but the mapping can read other rows of the same database" in result.reason


def test_settings_of_role_and_database_do_not_change_the_rows(site: Site) -> None:
    """Text of floats, dates, bytes and intervals depends on settings, which a restored server may not have."""
    site.run("ALTER TABLE public.teams ADD t timestamptz DEFAULT '2026-11-23 01:02:03.5+05', ADD f float8 DEFAULT 0.1, "
             "ADD b bytea DEFAULT '\\x00ff', ADD i interval DEFAULT '1 year 2 days 3:04'")
    text = site.mapping.model_dump_json(by_alias=True)
    site.mapping = MappingConfig.model_validate_json(text.replace(
        "\"name\":\"name\"", "\"name\":\"name || t || f || b::text || i\"").replace(
        '"name":"u.name"', '"name":"u.name || t.t || t.f || t.b::text || t.i"').replace(
        "public.org_units u LEFT JOIN", "public.org_units u JOIN public.teams t ON t.id = u.legacy_id AND t.tenant_id "
        "= u.tenant_id LEFT JOIN", 1))
    site.observe()
    database = site.admin.info.dbname
    for setting in ("DateStyle = 'German, DMY'", "extra_float_digits = -3", "bytea_output = 'escape'",
                    "IntervalStyle = 'iso_8601'", "TimeZone = 'Asia/Tokyo'"):
        site.run(f"ALTER DATABASE {database} SET {setting}")
    assert reproduce(site.context).result is SAME


def test_two_databases_are_reproduced_although_only_one_agrees(
    new_database: Callable[..., str], template: str, connect: Connect, tmp_path: Path
) -> None:
    source, target = new_database(template), new_database(template)
    site = make_two_databases(connect(source), source, connect(target), target, tmp_path)
    site.observe()
    result = reproduce(site.context)
    assert (result.result, result.tenants) == (SAME, 11)
    site.target_admin.execute("DELETE FROM public.org_units WHERE ctid = (SELECT min(ctid) FROM public.org_units)")
    result = reproduce(site.context)
    assert result.result is DIFFERENT
    assert {difference.side for difference in result.differences} == {"target"}


def test_shards_are_reproduced_with_their_own_seeds(shards: ShardedSite) -> None:
    observation = shards.observe()
    described = observation.compared["shards"]
    assert len({of_shard["fingerprints"]["seed"] for of_shard in described.values()}) == len(described)
    result = reproduce(shards.context)
    assert (result.result, result.tenants) == (SAME, 12)
    name = sorted(shards.admins)[1]
    shards.admins[name].execute("DELETE FROM public.teams WHERE ctid = (SELECT min(ctid) FROM public.teams)")
    result = reproduce(shards.context)
    assert (result.result, result.differing_tenants) == (DIFFERENT, 1)
    text = json.loads(shards.mapping.model_dump_json(by_alias=True))
    text["shards"] = text["shards"][:2]
    with pytest.raises(ConfigurationError, match="was compared, but the mapping at hand has no shard of this name"):
        reproduce(replace(shards, mapping=MappingConfig.model_validate(text)).context)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_other_encoding_is_not_decided_without_a_portable_digest(
    site: Site, new_database: Callable[..., str], connect: Connect, encoding: str
) -> None:
    site.observe()
    site.run("DROP DATABASE IF EXISTS other_encoding",
             f"CREATE DATABASE other_encoding ENCODING '{encoding}' TEMPLATE template0 LOCALE 'C'")
    dsn = site.dsn.replace(f"/{site.admin.info.dbname}", "/other_encoding")
    result = reproduce(replace(site, dsn=dsn).context)
    assert result.result is NOT_DECIDED
    assert f"its encoding is {encoding}, and was UTF8" in result.reason


def test_portable_hash_of_two_servers_is_reproduced(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(engine, "new_row_hash", lambda: RowHash(native=False, seed=7))
        observation = site.observe()
    assert observation.compared["fingerprints"]["methods"] == ["portable"]
    assert observation.compared["fingerprints"]["probe"] is None
    result = reproduce(site.context)
    assert (result.result, result.method) == (SAME, "portable")


def test_keys_that_differ_in_another_database_are_listed(
    site: Site, seeded_template: str, connect: Connect, new_database: Callable[..., str]
) -> None:
    site.observe()
    other = new_database(seeded_template)
    first = "ctid = (SELECT min(ctid) FROM public.team_members)"
    [(removed_tenant, removed_user)] = site.admin.execute(
        f"DELETE FROM public.team_members WHERE {first} RETURNING tenant_id, user_id::text")
    site.admin.execute(f"UPDATE public.team_members SET role = role || '!' WHERE {first}")
    context = site.context
    context = replace(context, environ={**context.environ, "OTHER": other})
    result = reproduce(context, against="OTHER")
    assert (result.result, result.keys_unknown) == (DIFFERENT, "")
    assert sorted((key.where, key.side, key.columns) for key in result.keys) == [
        ("both", "source", ("role",)), ("other", "source", ())]
    [missing] = [key for key in result.keys if key.where == "other"]
    assert (missing.tenant, missing.key["user_id"]) == (removed_tenant, removed_user)
    connect(other).execute("DROP TABLE public.team_members CASCADE")
    result = reproduce(context, against="OTHER")
    assert (result.result, "the keys cannot be compared" in result.keys_unknown) == (DIFFERENT, True)
    with pytest.raises(ConfigurationError, match="NOTHING is not set"):
        reproduce(context, against="NOTHING")


def test_tenant_that_the_other_database_cannot_encode_differs_without_its_keys(
    site: Site, template_sql: str, connect: Connect
) -> None:
    site.run("INSERT INTO public.teams (tenant_id, id, name) SELECT '\u4f60', max(id) + 1, 'x' FROM public.teams")
    site.observe()
    site.run("UPDATE public.teams SET name = 'y' WHERE name = 'x'", "DROP DATABASE IF EXISTS other_latin9",
             "CREATE DATABASE other_latin9 ENCODING 'LATIN9' TEMPLATE template0 LOCALE 'C'")
    other = site.dsn.replace(f"/{site.admin.info.dbname}", "/other_latin9")
    admin = connect(other.replace(site.dsn.partition("@")[0], "postgresql://postgres"))
    admin.execute("SET client_encoding = 'UTF8'")
    admin.execute(template_sql)
    admin.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}")
    context = site.context
    result = reproduce(replace(context, environ={**context.environ, "OTHER": other}), against="OTHER")
    assert (result.result, result.keys) == (DIFFERENT, ())
    assert re.fullmatch("the keys cannot be compared: .*a database's encoding lacks its characters\\.",
                        result.keys_unknown)


def test_redacted_tenant_is_reproduced_without_its_name(site: Site) -> None:
    site.observe()
    [(name,)] = site.admin.execute("SELECT min(tenant_id) FROM public.team_members")
    redact_tenant(site.context, name, "the customer asked for it", force=True)
    assert reproduce(site.context).result is SAME
    assert reproduce(site.context, tenants=[name]).result is SAME
    site.admin.execute("UPDATE public.team_members SET role = 'x' WHERE tenant_id = %s", (name,))
    for tenants in ([], [name]):
        result = reproduce(site.context, tenants=tenants)
        assert (result.result, result.differing_tenants) == (DIFFERENT, 1)
        assert result.differences[0].tenant.startswith("redacted-")
        assert name not in json.dumps(result.as_json_value()["differences"])


@pytest.mark.parametrize("tenant_type", ["text", "bigint"])
def test_keys_of_redacted_tenant_are_not_listed(site: Site, tenant_type: str) -> None:
    """The pseudonym would select no rows, and is not a value of every type."""
    if tenant_type == "bigint":
        text = site.mapping.model_dump_json(by_alias=True)
        site.mapping = MappingConfig.model_validate_json(re.sub(
            r'"tenant_id":"([a-z.]*tenant_id)"', r'"tenant_id":"pg_catalog.hashtext(\1)::bigint"', text).replace(
            '"tenant":"id"', '"tenant":"pg_catalog.hashtext(id)::bigint"'))
    tenant = "hashtext(tenant_id)" if tenant_type == "bigint" else "tenant_id"
    site.observe()
    [(redacted,), (kept,)] = site.admin.execute(f"SELECT DISTINCT {tenant}::text FROM public.team_members LIMIT 2")
    redact_tenant(site.context, redacted, "the customer asked for it", force=True)
    before = site.context
    context = replace(before, environ={**before.environ, "OTHER": before.environ["DATABASE_URL"]})
    for changed in (redacted, kept):
        site.admin.execute(f"UPDATE public.team_members SET role = role || '!' WHERE {tenant}::text = %s", (changed,))
        result = reproduce(context, against="OTHER")
        assert (result.result, result.keys) == (DIFFERENT, ())
        assert result.keys_unknown == (
            "the keys of 1 redacted tenant are not listed, because the ledger no longer has its name.")
