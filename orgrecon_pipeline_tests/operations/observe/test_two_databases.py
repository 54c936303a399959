"""Comparison of two databases: the same verdicts as in one, and reasons that name the faulty side."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.compare import engine as comparing
from orgrecon_pipeline.compare.queries.row_hash import RowHash
from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.demo.company import mark_simulated
from orgrecon_pipeline.demo.postgres_binaries import find_binaries, installed_binaries, major_version
from orgrecon_pipeline.domain.errors import ConfigurationError, DayRefused
from orgrecon_pipeline.domain.evidence import Observation, Verdict
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.operations.clock import Clock
from orgrecon_pipeline.operations.doctor import diagnose
from orgrecon_pipeline.operations.observe.acknowledge import accept_source
from orgrecon_pipeline.operations.observe.observe import observe
from orgrecon_pipeline.operations.repair import plan_repair
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline_tests.support.default_identity import verify_trail
from orgrecon_pipeline_tests.support.operations.concurrency import (
    LONG_TIMEOUTS,
    BackgroundObservation,
    blocked_backends,
    open_sessions,
    wait_until,
)
from orgrecon_pipeline_tests.support.operations.postgres_server import postgres_server
from orgrecon_pipeline_tests.support.operations.shards import Connect, TwoDatabases, make_two_databases
from orgrecon_pipeline_tests.support.operations.site import READER, Site, fast_mapping

SOURCE, TARGET = "DATABASE_URL", "ORGRECON_TARGET_DATABASE_URL"
UNITS, MEMBERSHIPS = "org_units", "org_unit_memberships"
FIRST = "ctid = (SELECT min(ctid) FROM public.{0})"
NTH = "ctid = (SELECT ctid FROM public.{0} ORDER BY ctid OFFSET {1} LIMIT 1)"


@pytest.fixture
def two_databases(new_database: Callable[..., str], template: str, connect: Connect, tmp_path: Path) -> TwoDatabases:
    """A site with the legacy side in one database and v2.3 in another one of the same server."""
    source, target = new_database(template), new_database(template)
    place = tmp_path / "two_databases"  # with a separate ledger, because the ledger of a site pins other databases
    place.mkdir()
    return make_two_databases(connect(source), source, connect(target), target, place)


def with_samples(**scan: Any) -> MappingConfig:
    mapping = fast_mapping(**scan)
    return mapping.model_copy(update={"report": mapping.report.model_copy(update={"sample_values": True})})


DRIFT = {
    "missing": f"DELETE FROM public.{MEMBERSHIPS} WHERE {NTH.format(MEMBERSHIPS, 100)}",
    "unexpected": f"DELETE FROM public.team_members WHERE {NTH.format('team_members', 200)}",
    "mismatched": f"UPDATE public.team_members SET role = 'tampered' WHERE {NTH.format('team_members', 300)}",
    "duplicate": f"INSERT INTO public.org_units SELECT tenant_id, gen_random_uuid(), legacy_id, kind, name, parent_id "
                 f"FROM public.org_units WHERE {FIRST.format('org_units')}",
}


@pytest.mark.parametrize("exact", [False, True])
def test_equal_databases_pass(two_databases: TwoDatabases, exact: bool) -> None:
    two_databases.admin.execute("INSERT INTO public.tenants VALUES ('declared by the source alone')")
    after = two_databases.observe(exact=exact)
    assert (after.verdict, after.tenants_scanned) == (Verdict.PASS, 13), after.reason
    source, target = after.compared["source"], after.compared["target"]
    assert source["database"] == two_databases.admin.info.dbname
    assert target["database"] == two_databases.target_admin.info.dbname
    assert (after.compared["digest_method"], after.compared["exact"]) == ("native", exact)
    wait_until(lambda: not open_sessions(two_databases.admin) + open_sessions(two_databases.target_admin))


@pytest.mark.parametrize("kind", DRIFT)
def test_drift_of_two_databases_equals_drift_of_one(
    site: Site, two_databases: TwoDatabases, kind: str, tmp_path: Path
) -> None:
    found = []
    for each in (site, two_databases):
        each.mapping = with_samples()
        each.run(DRIFT[kind])
        after = each.observe()
        found.append((after.verdict, after.entities, after.tenants_with_drift, after.reason,
                      each.ledger.samples(after.id), each.ledger.breakdown(after.id, 100), after.compared["values"]))
    assert found[0] == found[1]
    assert found[0][0] is Verdict.FAIL
    assert getattr(found[0][1][UNITS if kind == "duplicate" else MEMBERSHIPS], kind) == 1
    assert [sample.kind for sample in found[0][4]] == [kind]


@pytest.mark.parametrize(("settled", "verdict"), [(True, Verdict.PASS), (False, Verdict.FAIL)])
def test_dual_write_between_the_snapshots_is_transient(two_databases: TwoDatabases, connect: Connect, settled: bool,
                                               verdict: Verdict) -> None:
    """The target's snapshot waits for a lock after the source's, so the write is visible on one side only."""
    two_databases.mapping = fast_mapping(**LONG_TIMEOUTS)
    holder = connect(two_databases.target_admin.info.dsn)
    holder.autocommit = False

    def hold(line: str) -> None:
        if "preflight checks passed" in line:
            holder.execute("LOCK TABLE public.org_units IN ACCESS EXCLUSIVE MODE")

    running = BackgroundObservation(two_databases, progress=hold)
    wait_until(lambda: blocked_backends(two_databases.target_admin))
    if settled:
        two_databases.admin.execute("UPDATE public.teams SET name = 'renamed' WHERE id = 1")
    holder.execute("UPDATE public.org_units SET name = 'renamed' WHERE legacy_id = 1")
    holder.commit()
    after = running.result()
    assert after.verdict is verdict, after.reason
    counted = after.entities[UNITS]
    assert (counted.transient, counted.mismatched) == ((11, 0) if settled else (0, 11))


@pytest.mark.parametrize("side", ["dsn", "target_dsn"])
def test_unreachable_side_is_named(two_databases: TwoDatabases, side: str) -> None:
    setattr(two_databases, side, "postgresql://somebody@/orgs?host=/nonexistent/place")
    after = two_databases.observe()
    assert after.verdict is Verdict.INCONCLUSIVE
    variable = SOURCE if side == "dsn" else TARGET
    assert f"cannot connect to the database of {variable}: the socket does not exist" in after.reason


@pytest.mark.parametrize(("statements", "words"), [
    (("DROP TABLE public.team_members",), "org_unit_memberships.source: a table does not exist"),
    (("DROP TABLE public.org_unit_memberships",), "org_unit_memberships.target: a table does not exist"),
    (("ALTER TABLE public.teams ENABLE ROW LEVEL SECURITY",), "row-level security"),
    (("ALTER TABLE public.org_units ENABLE ROW LEVEL SECURITY",), "row-level security"),
    ((f"REVOKE SELECT ON public.teams FROM {READER}",), "the role lacks a permission"),
    ((f"REVOKE SELECT ON public.org_units FROM {READER}",), "the role lacks a permission"),
    (("ALTER TABLE public.team_members ALTER role TYPE name",), "role is name in org_unit_memberships.source and text "
                                                               "in org_unit_memberships.target"),
    (("ALTER TABLE public.org_units ALTER legacy_id TYPE numeric",), "unit_id is bigint in org_units.source and "
                                                                    "numeric in org_units.target"),
    ((f"UPDATE public.org_units SET legacy_id = NULL WHERE {FIRST.format('org_units')}",), "NULL"),
])
def test_fault_of_either_side_is_inconclusive(
    two_databases: TwoDatabases, statements: tuple[str, ...], words: str
) -> None:
    assert two_databases.observe().verdict is Verdict.PASS
    two_databases.run(*statements)
    after = two_databases.observe()
    assert after.verdict is Verdict.INCONCLUSIVE, after.reason
    assert words in after.reason
    assert two_databases.ledger.deciding(after.day, "latest") != after


def test_tenant_lost_by_both_databases_is_inconclusive(two_databases: TwoDatabases) -> None:
    """Equal sides without the tenant must not PASS."""
    two_databases.observe()
    (tenant,) = two_databases.admin.execute("SELECT min(tenant_id) FROM public.teams").fetchone() or ("",)
    two_databases.run(*(f"DELETE FROM public.{table} WHERE tenant_id = '{tenant}'"
                for table in ("teams", "team_members", "org_units", "org_unit_memberships")))
    after = two_databases.observe()
    assert after.verdict is Verdict.INCONCLUSIVE
    assert tenant in after.reason


# Pinned databases and clocks.

@pytest.mark.parametrize("side", ["source", "target"])
def test_unpinned_database_is_inconclusive_until_accepted(
    two_databases: TwoDatabases, new_database: Callable[..., str], template: str, connect: Connect, tmp_path: Path,
    side: str,
) -> None:
    first = two_databases.observe()
    other = [new_database(template), new_database(template)]
    moved = make_two_databases(connect(other[0]), other[0], connect(other[1]), other[1], tmp_path)
    field = "dsn" if side == "source" else "target_dsn"
    before = replace(two_databases)
    setattr(two_databases, field, getattr(moved, field))
    refused = two_databases.observe()
    assert refused.verdict is Verdict.INCONCLUSIVE
    assert refused.reason.startswith(f"{side}: this is database '{refused.compared[side]['database']}'")
    assert first.compared[side]["database"] in refused.reason
    assert accept_source(two_databases.context, "moved on purpose").keys() == {side}
    assert two_databases.observe().verdict is Verdict.PASS
    assert before.observe().reason.startswith(f"{side}: ")


def test_move_from_one_database_to_two_needs_acceptance(site: Site, two_databases: TwoDatabases) -> None:
    """The pinned target was in the source's database."""
    two_databases.ledger = site.ledger
    assert site.observe().verdict is Verdict.PASS
    assert two_databases.observe().verdict is Verdict.INCONCLUSIVE
    assert accept_source(two_databases.context, "the target has its own server now").keys() == {"source", "target"}
    assert two_databases.observe().verdict is Verdict.PASS


def test_one_database_with_two_urls_has_the_same_result(site: Site) -> None:
    """Two snapshots of one database give the same result and the same pins."""
    one = site.observe()
    assert one.verdict is Verdict.PASS
    site.mapping = with_samples()
    two = TwoDatabases(**{**vars(site), "target_dsn": f"{site.dsn}&application_name=x", "target_admin": site.admin})
    after = two.observe()
    assert after.verdict is Verdict.PASS, after.reason
    assert after.compared["source"]["database"] == after.compared["target"]["database"]
    site.run(*DRIFT.values())
    expected, found = site.observe(), two.observe()
    assert found.verdict is Verdict.FAIL
    assert found.entities == expected.entities
    assert site.ledger.samples(found.id) == site.ledger.samples(expected.id)


def test_side_with_a_clock_on_another_day_is_refused(two_databases: TwoDatabases) -> None:
    """The source is simulated and follows the injected clock; the target is live."""
    mark_simulated(two_databases.admin)
    then = datetime(2026, 3, 1, 8, tzinfo=timezone.utc)
    context = replace(two_databases.context, clock=Clock.at(then))
    with pytest.raises(DayRefused, match=r"the database's clock \(target\) shows"):
        observe(context, date(2026, 3, 1))
    assert two_databases.ledger.days() == []


# Different servers.

@pytest.fixture(scope="module")
def other_version(template_sql: str) -> Iterator[Callable[[str], str]]:
    """Return a function that creates a database with the tables on a server of another version, and returns its DSN."""
    version = major_version(find_binaries())
    others = [binaries for binaries in installed_binaries() if major_version(binaries) != version]
    if not others:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            f"no PostgreSQL other than version {version} is installed: install Debian's package postgresql")
    with postgres_server(others[0]) as server:
        server.initialise()
        server.start()

        def create(encoding: str) -> str:
            with psycopg.connect(server.dsn(), autocommit=True) as admin:
                admin.execute(f"CREATE DATABASE {encoding} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
            with psycopg.connect(server.dsn(encoding), autocommit=True, client_encoding="UTF8") as admin:
                admin.execute(template_sql)
            return server.dsn(encoding)

        yield create


def prefix_names(site: TwoDatabases, text: str) -> None:
    site.admin.execute("UPDATE public.teams SET name = %s || name", (text,))
    site.target_admin.execute("UPDATE public.org_units SET name = %s || name", (text,))
    for admin, tables in ((site.admin, ("teams", "team_members")), (site.target_admin, (UNITS, MEMBERSHIPS))):
        for table in tables:
            admin.execute(f"UPDATE public.{table} SET tenant_id = %s || tenant_id", (text,))
    site.admin.execute("UPDATE public.tenants SET id = %s || id", (text,))


def assert_digests_agree(site: TwoDatabases, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Check that equal data passes and every kind of drift is found, with the chosen and the portable digest."""
    assert site.observe().compared["digest_method"] == method
    assert site.observe().verdict is Verdict.PASS
    site.run(*DRIFT.values())
    chosen = site.observe()
    monkeypatch.setattr(comparing, "new_row_hash", lambda: RowHash(native=False, seed=7))
    forced = site.observe()
    assert forced.compared["digest_method"] == "portable"
    for after in (chosen, forced):
        assert after.verdict is Verdict.FAIL
        counted = {name: (t.missing, t.unexpected, t.mismatched, t.duplicate) for name, t in after.entities.items()}
        assert counted == {UNITS: (0, 0, 0, 1), MEMBERSHIPS: (1, 1, 1, 0)}
    assert site.ledger.samples(chosen.id) == site.ledger.samples(forced.id)


def test_two_versions_of_postgresql_use_the_native_digest(
    company_database: str, other_version: Callable[[str], str], connect: Connect, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch
) -> None:
    other = other_version("utf8")
    site = make_two_databases(connect(other), other, connect(company_database), company_database, tmp_path)
    prefix_names(site, "\u0416\u4f60é")
    assert_digests_agree(site, monkeypatch, "native")
    versions = {site.observe().compared[side]["server_version"].split(".")[0] for side in ("source", "target")}
    assert len(versions) == 2


def test_latin1_against_utf8_uses_the_portable_digest(
    company_database: str, other_version: Callable[[str], str], connect: Connect, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch
) -> None:
    """The encodings store the same names as different bytes, so the native hashes would differ."""
    latin = other_version("latin1")
    admin = psycopg.connect(latin, autocommit=True, client_encoding="UTF8")
    try:
        site = make_two_databases(admin, latin, connect(company_database), company_database, tmp_path)
        prefix_names(site, "Ärger é ÿ ")
        assert_digests_agree(site, monkeypatch, "portable")
        # A name that LATIN1 cannot represent is unexpected in the target, not an error.
        site.target_admin.execute("INSERT INTO public.org_units VALUES ('\u4f60', gen_random_uuid(), 1, 'team', 'x')")
        after = site.observe()
        assert (after.verdict, after.entities[UNITS].unexpected) == (Verdict.FAIL, 1), after.reason
    finally:
        admin.close()


# A statement of one side that ends before the statement of the other side.

def raising(mapping: MappingConfig, table: str) -> MappingConfig:
    """Return the mapping with a table that is read in tenant order and fails near its end."""
    text = mapping.model_dump_json(by_alias=True)
    failing = (f"(SELECT * FROM public.{table} WHERE 1 / CASE WHEN tenant_id = 'zz99' THEN 0 ELSE 1 END = 1 "
               "ORDER BY tenant_id) AS read_in_order")
    changed = text.replace(f'"from":"public.{table}"', f'"from":"{failing}"')
    assert changed != text
    return type(mapping).model_validate_json(changed)


def test_side_that_fails_while_the_other_streams_is_inconclusive(two_databases: TwoDatabases) -> None:
    """The other side's connection is closed although its rows were not read to the end."""
    two_databases.admin.execute("INSERT INTO public.team_members SELECT 'zz' || n, 1, gen_random_uuid(), 'member' "
                        "FROM generate_series(1, 5000) AS n")
    two_databases.mapping = raising(two_databases.mapping, "team_members")
    after = two_databases.observe()
    assert after.verdict is Verdict.INCONCLUSIVE
    assert "division by zero" in after.reason
    wait_until(lambda: not open_sessions(two_databases.admin) + open_sessions(two_databases.target_admin))


@pytest.mark.parametrize("side", ["source", "target"])
def test_side_terminated_while_the_other_waits_is_inconclusive(
    two_databases: TwoDatabases, connect: Connect, side: str
) -> None:
    """When one side is terminated, the waiting statement of the other side is cancelled."""
    text = two_databases.mapping.model_dump_json(by_alias=True)
    wait = "(SELECT pg_catalog.pg_advisory_xact_lock_shared(4711)) IS NOT NULL"
    mapping = type(two_databases.mapping).model_validate_json(
        text.replace('deleted_at IS NULL"', f'deleted_at IS NULL AND {wait}"'))
    two_databases.mapping = mapping.model_copy(update={"scan": mapping.scan.model_copy(update=LONG_TIMEOUTS)})
    for admin in (two_databases.admin, two_databases.target_admin):  # advisory locks are per database
        connect(admin.info.dsn).execute("SELECT pg_advisory_lock(4711)")
    running = BackgroundObservation(two_databases)
    of_both = {"source": two_databases.admin, "target": two_databases.target_admin}
    pids = {name: wait_until(lambda admin=admin: blocked_backends(admin)) for name, admin in of_both.items()}  # type: ignore[misc]
    of_both[side].execute("SELECT pg_terminate_backend(%s)", (pids[side][0],))
    after = running.result()
    assert after.verdict is Verdict.INCONCLUSIVE
    assert f"org_units.{side}: an administrator terminated the connection" in after.reason
    wait_until(lambda: not open_sessions(two_databases.admin) + open_sessions(two_databases.target_admin))


# Other commands.

def test_restored_and_repair_with_two_databases_are_refused(two_databases: TwoDatabases) -> None:
    today = two_databases.context.clock.today()
    with pytest.raises(ConfigurationError, match="--restored needs both sides in one database"):
        observe(two_databases.context, today, restored=True)
    ledger = f"sqlite:///{two_databases.directory / 'ledger.db'}"
    settings = read_settings({"ORGRECON_LEDGER_URL": ledger, **two_databases.context.environ})
    with pytest.raises(ConfigurationError, match="repair-sql needs source and target in one database"):
        plan_repair(settings, None)


def test_doctor_checks_both_databases(two_databases: TwoDatabases) -> None:
    found = {finding.topic: finding for finding in diagnose(two_databases.context).findings}
    assert diagnose(two_databases.context).ready
    for side, variable in (("source", SOURCE), ("target", TARGET)):
        assert found[f"{side}: connection"].text == f"the database of {variable} accepts connections"
    assert "hash rows alike: the native digest" in found["both databases"].text
    two_databases.run("ALTER TABLE public.org_units ALTER legacy_id TYPE numeric")
    diagnosis = diagnose(two_databases.context)
    assert [(f.level, f.topic) for f in diagnosis.findings if f.level == "problem"] == [("problem", "comparison")]
    assert "unit_id is bigint in org_units.source" in diagnosis.findings[-1].text
    two_databases.target_dsn = "postgresql://somebody@/orgs?host=/nonexistent/place"
    problems = [f.topic for f in diagnose(two_databases.context).findings if f.level == "problem"]
    assert problems == ["target: connection"]


def test_report_names_both_databases(two_databases: TwoDatabases) -> None:
    after: Observation = two_databases.observe()
    published = publish(two_databases.context, after.day)
    for side, admin in (("source", two_databases.admin), ("target", two_databases.target_admin)):
        assert f"| `{side}.database` | `{admin.info.dbname}` |" in render(published.record)
    assert verify_trail(two_databases.context.output_dir).sound
