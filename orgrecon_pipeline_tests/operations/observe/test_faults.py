"""The fault matrix: every known way to a wrong verdict, tried on a real server.

Each fault happens to a company that was observed as PASS just before. What must come out stands beside it; a PASS
never may. ``docs/reliability.md`` lists the same cases in words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.domain.evidence import Observation, Verdict
from orgrecon_pipeline.domain.reasons import COVERAGE_CODES
from orgrecon_pipeline.operations.doctor import diagnose
from orgrecon_pipeline.operations.observe.acknowledge import acknowledge_coverage
from orgrecon_pipeline.operations.reproduction.reproduce import ReproductionResult, reproduce
from orgrecon_pipeline.operations.trail.importer import import_trail
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.operations.concurrency import (
    InBackground,
    blocked_backends,
    hold_scans,
    wait_until,
)
from orgrecon_pipeline_tests.support.operations.site import READER, Site

INCONCLUSIVE, FAIL = Verdict.INCONCLUSIVE, Verdict.FAIL


@dataclass(frozen=True)
class Case:
    """A fault, the verdict that it must have, a part of the reason, and the first server version that has the fault.

    The statements of ``meanwhile`` run between two reads.
    """

    name: str
    inject: Callable[[Site], Any]
    verdict: Verdict
    reason: str
    since: int = 0
    meanwhile: tuple[str, ...] = ()


def sql(*statements: str) -> Callable[[Site], None]:
    return lambda site: site.run(*statements)


def edit_mapping(old: str, new: str) -> Callable[[Site], None]:
    """Return a fault that replaces text in the mapping, which must contain it."""

    def edit(site: Site) -> None:
        text = site.mapping.model_dump_json(by_alias=True)
        assert old in text
        site.mapping = type(site.mapping).model_validate_json(text.replace(old, new))

    return edit


RLS = "ALTER TABLE public.org_units ENABLE ROW LEVEL SECURITY"
EMPTY_BOTH_MODELS = "TRUNCATE public.teams, public.team_members, public.org_units, public.org_unit_memberships"
ONE_TENANT = "(SELECT min(tenant_id) FROM public.teams)"



def delete_during_the_next_scan(site: Site) -> None:
    """Start a migration that waits for the next scan and then, before the scan goes on, deletes a row."""
    holder = psycopg.connect(site.admin.info.dsn, autocommit=True)
    holder.execute("SELECT pg_advisory_lock(4711)")
    hold_scans(site, yield_seconds=0.3)

    def migrate() -> None:
        with holder, psycopg.connect(site.admin.info.dsn) as migration:
            wait_until(lambda: blocked_backends(holder))
            migration.execute("LOCK TABLE public.team_members IN ACCESS EXCLUSIVE MODE")
            migration.execute(
                "DELETE FROM public.team_members WHERE ctid = (SELECT min(ctid) FROM public.team_members)")

    InBackground(migrate)


CASES = [
    # Hidden rows.
    Case("row-level security without a policy", sql(RLS), INCONCLUSIVE, "row-level security"),
    Case("row-level security on both sides", sql(RLS, "ALTER TABLE public.teams ENABLE ROW LEVEL SECURITY"),
         INCONCLUSIVE, "row-level security"),
    Case("row-level security for a role with pg_read_all_data", sql(RLS, f"GRANT pg_read_all_data TO {READER}"),
         INCONCLUSIVE, "row-level security", since=140_000),
    Case("a policy on an unset setting", sql(
        RLS, "CREATE POLICY p ON public.org_units USING (tenant_id = current_setting('app.tenant', true))"),
        INCONCLUSIVE, "row-level security"),
    Case("forced row-level security against the owner", sql(
        f"ALTER TABLE public.org_units OWNER TO {READER}", RLS,
        "ALTER TABLE public.org_units FORCE ROW LEVEL SECURITY"),
        INCONCLUSIVE, "row-level security"),
    Case("a table becomes a foreign table", sql(
        "DROP TABLE public.team_members", "CREATE FOREIGN DATA WRAPPER other",
        "CREATE SERVER other FOREIGN DATA WRAPPER other",
        "CREATE FOREIGN TABLE public.team_members (tenant_id text, team_id bigint, user_id uuid, role text) "
        "SERVER other",
        f"GRANT SELECT ON public.team_members TO {READER}"),
        INCONCLUSIVE, "public.team_members is a foreign table"),
    Case("a table becomes a view that limits its rows", sql(
        "ALTER TABLE public.team_members RENAME TO kept",
        "CREATE VIEW public.team_members AS SELECT * FROM public.kept LIMIT 1000000",
        f"GRANT SELECT ON public.team_members TO {READER}"),
        INCONCLUSIVE, "view public.team_members limits the number of rows"),
    Case("the mapping samples a table", edit_mapping(
        "public.team_members", "public.team_members TABLESAMPLE SYSTEM (100)"),
        INCONCLUSIVE, "org_unit_memberships.source reads a sample of the rows"),
    Case("a random condition", edit_mapping("deleted_at IS NULL", "deleted_at IS NULL AND random() < 0.999"),
         INCONCLUSIVE, "calls random(), which is volatile"),
    # Changed tables and permissions.
    Case("permission denied on one table", sql(f"REVOKE SELECT ON public.org_unit_memberships FROM {READER}"),
         INCONCLUSIVE, "the role lacks a permission: run GRANT SELECT ON public.org_unit_memberships TO the role"),
    Case("permission on the mapped columns alone", sql(
        f"REVOKE SELECT ON public.team_members FROM {READER}",
        f"GRANT SELECT (tenant_id, team_id, user_id, role) ON public.team_members TO {READER}"),
        INCONCLUSIVE, "public.team_members cannot be locked before the snapshot"),
    Case("permission denied on the universe", sql(f"REVOKE SELECT ON public.tenants FROM {READER}"),
         INCONCLUSIVE, "tenants: the role lacks a permission"),
    Case("a table is missing", sql("DROP TABLE public.team_members"), INCONCLUSIVE,
         "org_unit_memberships.source: a table does not exist"),
    Case("a column was renamed", sql("ALTER TABLE public.org_units RENAME COLUMN name TO title"), INCONCLUSIVE,
         "org_units.target, column name: a column does not exist"),
    Case("a column has another type", sql("ALTER TABLE public.org_unit_memberships ALTER COLUMN user_id TYPE text"),
         INCONCLUSIVE, "org_unit_memberships.user_id is uuid in org_unit_memberships.source and text"),
    Case("a narrower integer", sql("ALTER TABLE public.org_units ALTER COLUMN legacy_id TYPE integer"), INCONCLUSIVE,
         "is bigint in org_units.source and integer"),
    Case("a type without equality", sql("ALTER TABLE public.teams ALTER COLUMN name TYPE json USING to_json(name)",
                                        "ALTER TABLE public.org_units ALTER COLUMN name TYPE json USING to_json(name)"),
         INCONCLUSIVE, "cast the column in the mapping"),
    Case("an unqualified table", edit_mapping("public.teams", "teams"), INCONCLUSIVE, "the search_path is empty"),
    Case("invalid SQL in the mapping", edit_mapping("deleted_at IS NULL", "deleted_at IS IS NULL"), INCONCLUSIVE,
         "not valid"),
    Case("a value that cannot be cast", edit_mapping("\"name\":\"name\"", "\"name\":\"name::int::text\""), INCONCLUSIVE,
         "org_units.source, column name: a value cannot be read as the type"),
    # Lost coverage.
    Case("both sides are emptied", sql(EMPTY_BOTH_MODELS), INCONCLUSIVE, "coverage lost"),
    Case("both sides and the universe are emptied", sql(EMPTY_BOTH_MODELS, "TRUNCATE public.tenants"), INCONCLUSIVE,
         "coverage lost: no row is left on either side of entity"),
    Case("one entity is emptied on both sides", sql("TRUNCATE public.team_members, public.org_unit_memberships"),
         INCONCLUSIVE, "entity 'org_unit_memberships'"),
    Case("a tenant is gone from both sides", lambda site: site.run(*REMOVE_ONE_TENANT), INCONCLUSIVE,
         "no row is left on either side of tenant"),
    Case("a column is NULL everywhere", sql("UPDATE public.teams SET parent_team_id = NULL",
                                            "UPDATE public.org_units SET parent_id = NULL"),
         INCONCLUSIVE, "column 'org_units.parent_id'"),
    Case("a bad join empties a column of both sides", edit_mapping(
        "\"parent_id\":\"parent_team_id\"", "\"parent_id\":\"NULL::bigint\""), FAIL, "keys drift"),
    Case("most tenants leave together with the universe", sql(
        *(f"DELETE FROM public.{table} WHERE tenant_id <> (SELECT min(id) FROM public.tenants)"
          for table in ("team_members", "org_unit_memberships", "org_units", "teams")),
        "DELETE FROM public.tenants WHERE id <> (SELECT min(id) FROM public.tenants)"),
        INCONCLUSIVE, "too many departures: 10 of 11 known tenants left"),
    # Invalid keys.
    Case("a NULL key", sql("UPDATE public.org_units SET legacy_id = NULL WHERE deleted_at IS NULL AND id = "
                           "(SELECT min(id::text)::uuid FROM public.org_units WHERE deleted_at IS NULL)"),
         INCONCLUSIVE, "org_units.target: 1 row without a tenant or with a NULL in the key"),
    Case("a NULL tenant", sql("ALTER TABLE public.teams DROP CONSTRAINT teams_pkey",
                              "ALTER TABLE public.teams ALTER tenant_id DROP NOT NULL",
                              "INSERT INTO public.teams VALUES (NULL, 1, 'x', NULL, NULL)"),
         INCONCLUSIVE, "org_units.source: 1 row without a tenant"),
    # Differences that are easy to miss.
    Case("one side is empty", sql("TRUNCATE public.org_units, public.org_unit_memberships"), FAIL, "keys drift"),
    Case("a duplicate", sql("INSERT INTO public.org_units (tenant_id, legacy_id, kind, name, parent_id) SELECT "
                            "tenant_id, legacy_id, kind, name, parent_id FROM public.org_units "
                            "WHERE deleted_at IS NULL LIMIT 1"), FAIL, "1 key drifts in 1 of"),
    Case("a NULL against a value", sql(
        "UPDATE public.org_units SET parent_id = NULL WHERE id = (SELECT min(id::text)::uuid FROM public.org_units "
        "WHERE deleted_at IS NULL AND parent_id IS NOT NULL)"), FAIL, "1 key drifts"),
    Case("composed against decomposed letters", sql(
        f"UPDATE public.teams SET name = U&'caf\\00E9' WHERE (tenant_id, id) = (SELECT {ONE_TENANT}, min(id) FROM "
        f"public.teams WHERE tenant_id = {ONE_TENANT} AND deleted_at IS NULL)",
        f"UPDATE public.org_units SET name = U&'cafe\\0301' WHERE (tenant_id, legacy_id) = (SELECT {ONE_TENANT}, "
        f"min(id) FROM public.teams WHERE tenant_id = {ONE_TENANT} AND deleted_at IS NULL)"), FAIL, "1 key drifts"),
    Case("a revoked membership still exists in the target", sql(
        "DELETE FROM public.team_members WHERE ctid = (SELECT min(ctid) FROM public.team_members)"),
        FAIL, "1 key drifts"),
    # Changes while the comparison runs.
    Case("a migration for which the scan gives way deletes a row", delete_during_the_next_scan, FAIL, "1 key drifts"),
    Case("a lost key of type jsonb is written differently", sql(
        "ALTER TABLE public.team_members ALTER user_id TYPE jsonb USING '[1.0]' || to_jsonb(user_id)",
        "ALTER TABLE public.org_unit_memberships ALTER user_id TYPE jsonb USING '[1.0]' || to_jsonb(user_id)",
        "DELETE FROM public.org_unit_memberships WHERE ctid = (SELECT min(ctid) FROM public.org_unit_memberships)"),
        FAIL, "1 key drifts", meanwhile=(
            "UPDATE public.team_members SET user_id = '[1.00]' || (user_id - 0) WHERE user_id::text LIKE '[1.0,%'",)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "_"))
def test_fault_never_passes(site: Site, case: Case) -> None:
    if site.admin.info.server_version < case.since:
        pytest.skip(f"PostgreSQL {case.since // 10_000} and later have this fault")
    before = site.observe()
    assert (before.verdict, before.reason[:10]) == (Verdict.PASS, "Zero drift"), before.reason
    case.inject(site)
    after = site.observe(wait=lambda seconds: site.run(*case.meanwhile))
    assert after.verdict is case.verdict, after.reason
    assert case.reason in after.reason, after.reason
    assert "\n" not in after.reason
    require_not_reproduced(site, case, before)
    if case.name.startswith(("row-level security", "permission", "a table is missing")):
        assert not diagnose(site.context).ready, "doctor finds the problem too"
    if after.verdict is INCONCLUSIVE:
        assert [seen.verdict for seen in site.ledger.observations(after.day)] == [Verdict.PASS, INCONCLUSIVE]
        # A failed attempt never displaces the decided observation, but a loss does.
        decides = after if after.reason_code in COVERAGE_CODES else before
        assert site.ledger.deciding(after.day, "latest") == decides


def require_not_reproduced(site: Site, case: Case, before: Observation) -> None:
    """Require that a fault of the database is never taken for the rows of the observation before it."""
    if site.mapping.digest != before.mapping_digest:
        return  # the mapping of the observation counts, which has no fault
    again = reproduce(site.context, observation_id=before.id)
    assert again.result is not ReproductionResult.SAME
    if case.verdict is INCONCLUSIVE and again.result is not ReproductionResult.DIFFERENT:
        assert case.reason in again.reason


REMOVE_ONE_TENANT = (
    "CREATE TABLE public.gone AS SELECT min(tenant_id) AS t FROM public.teams",
    *(f"DELETE FROM public.{table} WHERE tenant_id = (SELECT t FROM public.gone)"
      for table in ("team_members", "org_unit_memberships", "org_units", "teams")),
)


def test_lost_coverage_is_inconclusive_until_acknowledged(site: Site) -> None:
    assert site.observe().verdict is Verdict.PASS
    site.run(*REMOVE_ONE_TENANT)
    assert site.observe().verdict is INCONCLUSIVE
    assert site.observe().verdict is INCONCLUSIVE
    [accepted] = acknowledge_coverage(site.context, "the customer left on purpose")
    after = site.observe()
    assert after.verdict is Verdict.PASS
    assert after.compared["coverage"]["acknowledged"] == [accepted]
    assert site.observe().compared["coverage"]["acknowledged"] == []


def test_lost_coverage_survives_a_rebuilt_ledger(site: Site, tmp_path: Path) -> None:
    """The imported report only names the lost tenant; its breakdown does not list it."""
    shown = site.mapping.report.model_copy(update={"breakdown_limit": 1})
    site.mapping = site.mapping.model_copy(update={"tenants": None, "report": shown})
    site.observe()
    site.run(*REMOVE_ONE_TENANT)
    lost = site.observe()
    before = replace(site, ledger=open_ledger(f"sqlite:///{tmp_path / 'before.db'}"))
    before.ledger.append(lost, (), (), ())
    publish(before.context, lost.day)
    rebuilt = replace(site, ledger=open_ledger(f"sqlite:///{tmp_path / 'rebuilt.db'}"))
    assert import_trail(rebuilt.ledger, rebuilt.context.output_dir).refused == ()
    after = rebuilt.observe()
    assert (after.verdict, after.reason) == (INCONCLUSIVE, lost.reason)
    assert acknowledge_coverage(rebuilt.context, "the customer left on purpose") == lost.compared["coverage"]["lost"]
    assert rebuilt.observe().verdict is Verdict.PASS


@pytest.mark.parametrize("universe", [
    "TRUNCATE public.tenants", "UPDATE public.tenants SET id = 'id:' || id",
    "TRUNCATE public.tenants; INSERT INTO public.tenants VALUES ('')",
])
def test_unrelated_tenant_universe_does_not_mark_tenants_as_departed(site: Site, universe: str) -> None:
    site.observe()
    site.run(*REMOVE_ONE_TENANT, universe)
    after = site.observe()
    assert after.verdict is INCONCLUSIVE
    assert "no row is left on either side of tenant" in after.reason


def test_declared_tenants_without_rows_are_inconclusive(site: Site) -> None:
    """On the first observation nothing can be lost yet, but nothing was compared either."""
    site.run(EMPTY_BOTH_MODELS)
    after = site.observe()
    assert after.verdict is INCONCLUSIVE, after.reason
    assert after.reason.startswith("Nothing was compared: none of 12 declared tenants has a row on either side")
    site.run("TRUNCATE public.tenants")
    new = replace(site, ledger=open_ledger(f"sqlite:///{site.directory / 'new.db'}"))
    assert new.observe().verdict is Verdict.PASS, "an empty cluster passes"


@pytest.mark.parametrize(("raised", "words"), [
    ("USING ERRCODE = '42P01'", "a table does not exist"), ("USING ERRCODE = '3F000'", "SQLSTATE 3F000"),
    ("USING ERRCODE = 'ZZ001'", "SQLSTATE ZZ001"), ("USING ERRCODE = '22012', DETAIL = name", "division by zero"),
])
def test_error_raised_by_a_mapped_function_does_not_leak_rows(site: Site, raised: str, words: str) -> None:
    site.run("CREATE FUNCTION public.raising(name text) RETURNS text LANGUAGE plpgsql STABLE AS "
             f"$$ BEGIN RAISE EXCEPTION 'secret of %', name {raised}; END $$")
    edit_mapping('"name":"u.name"', '"name":"public.raising(u.name)"')(site)
    after = site.observe()
    assert after.verdict is INCONCLUSIVE
    assert words in after.reason
    assert "secret" not in after.model_dump_json()


def test_value_that_is_no_json_does_not_leak_words_after_function(site: Site) -> None:
    """The context of the error, which names a failing function, quotes the value."""
    site.run("""UPDATE public.org_units SET name = '{"function secret": b}'""")
    edit_mapping('"name":"u.name"', '"name":"u.name::json::text"')(site)
    after = site.observe()
    assert after.verdict is INCONCLUSIVE
    assert "a value cannot be read as the type" in after.reason
    assert "secret" not in after.model_dump_json()


@pytest.mark.parametrize(("body", "words"), [
    ("DELETE FROM public.teams", "would write, but the transaction is read-only"), ("COMMIT", "ends the transaction"),
])
def test_mapping_with_side_effects_is_inconclusive(site: Site, body: str, words: str) -> None:
    site.run("CREATE FUNCTION public.doing(text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS "
             f"$$ BEGIN {body}; RETURN $1; END $$",
             "CREATE FUNCTION public.calling(text) RETURNS text LANGUAGE plpgsql STABLE AS "
             "$$ BEGIN RETURN public.doing($1); END $$")
    edit_mapping('"name":"u.name"', '"name":"public.calling(u.name)"')(site)
    after = site.observe()
    assert after.verdict is INCONCLUSIVE
    assert words in after.reason, after.reason
    assert site.admin.execute("SELECT count(*) > 0 FROM public.teams").fetchone() == (True,)


def test_tenant_that_also_left_the_universe_is_no_lost_coverage(site: Site) -> None:
    site.observe()
    site.run(*REMOVE_ONE_TENANT, "DELETE FROM public.tenants WHERE id = (SELECT t FROM public.gone)")
    after = site.observe()
    assert (after.verdict, after.compared["coverage"]["left_count"]) == (Verdict.PASS, 1)


def put_back(site: Site, *tables: str, where: str = "true") -> None:
    """Refill tables from their ``keep_`` copies."""
    for table in tables:
        site.run(f"INSERT INTO public.{table} SELECT * FROM public.keep_{table} WHERE {where}")


@pytest.mark.parametrize("emptied", [
    f"{EMPTY_BOTH_MODELS}, public.tenants",
    f"{EMPTY_BOTH_MODELS}; DELETE FROM public.tenants WHERE id <> (SELECT min(id) FROM public.tenants)",
    "TRUNCATE public.team_members, public.org_unit_memberships; DELETE FROM public.teams WHERE tenant_id <> "
    f"{ONE_TENANT}; DELETE FROM public.org_units WHERE tenant_id <> {ONE_TENANT}; "
    f"DELETE FROM public.tenants WHERE id <> {ONE_TENANT}",
], ids=["everything", "all_but_a_name_of_the_universe", "all_but_some_of_one_tenant"])
def test_emptied_universe_does_not_mark_tenants_as_departed(site: Site, emptied: str) -> None:
    """The universe is restored, but only the rows of one tenant."""
    models = ("teams", "team_members", "org_units", "org_unit_memberships")
    site.observe()
    site.run(*(f"CREATE TABLE public.keep_{table} AS SELECT * FROM public.{table}" for table in ("tenants", *models)))
    site.run(emptied)
    assert site.observe().verdict is INCONCLUSIVE
    site.run(f"{EMPTY_BOTH_MODELS}, public.tenants")
    put_back(site, "tenants")
    put_back(site, *models, where="tenant_id = (SELECT min(tenant_id) FROM public.keep_teams)")
    after = site.observe()
    assert (after.verdict, after.compared["coverage"]["lost_count"]) == (INCONCLUSIVE, 10), after.reason
    site.run(EMPTY_BOTH_MODELS)
    put_back(site, *models)
    assert site.observe().verdict is Verdict.PASS
