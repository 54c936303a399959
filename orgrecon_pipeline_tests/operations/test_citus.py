"""Observations on Citus: a coordinator whose tables are distributed over several nodes."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from orgrecon_pipeline.compare.engine import compare
from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.demo.company import seed
from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.operations.doctor import diagnose
from orgrecon_pipeline.operations.repair import plan_repair
from orgrecon_pipeline_tests.support.citus import CITUS_DSN, needs_citus
from orgrecon_pipeline_tests.support.compare import endpoints
from orgrecon_pipeline_tests.support.operations.site import READER, Site, open_site

Connect = Callable[[str], psycopg.Connection[Any]]

DSN, pytestmark = CITUS_DSN, needs_citus

TABLES = ("tenants", "teams", "team_members", "org_units", "org_unit_memberships")
#: Few shards keep the tests fast; more than there are nodes, so that one connection to a node reads several.
SHARDS = 6


@pytest.fixture
def coordinator(connect: Connect) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the coordinator, in a database without tables. Only one test at a time has it."""
    admin = connect(DSN)
    admin.execute("SELECT pg_advisory_lock(hashtext('orgrecon tests'))")
    admin.execute(f"SET client_min_messages = warning; SET citus.shard_count = {SHARDS}")
    drop_tables(admin)
    yield admin
    drop_tables(admin)


def drop_tables(admin: psycopg.Connection[Any]) -> None:
    for name, in admin.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall():
        admin.execute(sql.SQL("DROP TABLE public.{} CASCADE").format(sql.Identifier(name)))


@pytest.fixture
def site(coordinator: psycopg.Connection[Any], template_sql: str, tmp_path: Path) -> Site:
    """A site with twelve small tenants without drift, distributed over the nodes."""
    coordinator.execute(template_sql)
    for table in TABLES:
        distribute(coordinator, table, "id" if table == "tenants" else "tenant_id")
    seed(coordinator, tenants=12, users_per_tenant=8)
    site = open_site(coordinator, DSN, tmp_path)
    for table in TABLES:
        site.run(f"GRANT SELECT ON public.{table} TO {READER}")
    return site


def distribute(admin: psycopg.Connection[Any], table: str, column: str) -> None:
    admin.execute("SELECT create_distributed_table(%s, %s)", (f"public.{table}", column))


def things(tenant: str = "t", key: str = "k", **scan: Any) -> MappingConfig:
    columns = {"tenant_id": tenant, "k": key, "v": "v"}
    return MappingConfig.model_validate({
        "version": 1, "scan": {"settle_seconds": 0, "rechecks": 1, **scan},
        "entities": {"things": {"key": ["k"], "compare": ["v"], "source": {"from": "public.old", "columns": columns},
                                "target": {"from": "public.new", "columns": columns}}}})


def create_things(admin: psycopg.Connection[Any], tenant_type: str, key_type: str = "bigint") -> None:
    for table in ("old", "new"):
        admin.execute(f"CREATE TABLE public.{table} (t {tenant_type}, k {key_type}, v varchar(40))")
        distribute(admin, table, "t")


LOSE_FIVE_MEMBERS = (
    "CREATE TABLE public.lost AS SELECT * FROM public.org_unit_memberships ORDER BY tenant_id, user_id LIMIT 5",
    "DELETE FROM public.org_unit_memberships m USING public.lost l WHERE (m.tenant_id, m.org_unit_id, m.user_id) = "
    "(l.tenant_id, l.org_unit_id, l.user_id)")


def test_company_without_drift_passes_and_lost_writes_fail(site: Site) -> None:
    before = site.observe()
    assert before.verdict is Verdict.PASS, before.reason
    site.run("DELETE FROM public.org_unit_memberships WHERE tenant_id = 'acme'")
    after = site.observe()
    assert after.verdict is Verdict.FAIL, after.reason
    members = after.entities["org_unit_memberships"]
    assert members.missing == (members.source_rows or 0) - (members.target_rows or 0) > 0
    assert {s.tenant for s in site.ledger.samples(after.id)} == {"acme"}


@pytest.mark.parametrize("tenant_type", ["text", "uuid", "bigint", "varchar(60)"])
@pytest.mark.parametrize("exact", [False, True])
def test_every_kind_of_drift_is_counted_for_every_type_of_tenant(
    coordinator: psycopg.Connection[Any], tenant_type: str, exact: bool
) -> None:
    create_things(coordinator, tenant_type)
    tenant = {"uuid": "md5(i::text)::uuid", "bigint": "i * 7"}.get(tenant_type, "'tenant ' || i")
    coordinator.execute(f"INSERT INTO public.old SELECT {tenant}, k, 'v' FROM generate_series(1, 30) i, "
                        "generate_series(1, 20) k")
    coordinator.execute("INSERT INTO public.new SELECT * FROM public.old")
    names = [name for name, in coordinator.execute("SELECT DISTINCT t::text FROM public.old")]
    names.sort()
    drifting = {names[3]: "missing", names[7]: "unexpected", names[11]: "mismatched", names[19]: "duplicate"}
    for name, kind in drifting.items():
        change = {
            "missing": f"DELETE FROM public.new WHERE t = '{name}' AND k <= 4",
            "unexpected": f"DELETE FROM public.old WHERE t = '{name}'",
            "mismatched": f"UPDATE public.new SET v = NULL WHERE t = '{name}' AND k = 5",
            "duplicate": f"INSERT INTO public.new SELECT * FROM public.new WHERE t = '{name}' AND k <= 2"}[kind]
        coordinator.execute(change.encode())
    comparison = compare(things(), endpoints.one_database(DSN), exact=exact)
    keys = {"missing": 4, "unexpected": 20, "mismatched": 1, "duplicate": 2}
    assert {row.tenant: {kind: count for kind, count in row.counts.items() if count}
            for row in comparison.tenant_rows if row.drift} == {
                name: {kind: keys[kind]} for name, kind in drifting.items()}
    assert list(comparison.present) == names


def test_row_level_security_that_only_the_nodes_apply_is_refused(site: Site) -> None:
    """The coordinator sees a role that bypasses row-level security; the nodes would hide the drift from it."""
    [lost] = site.admin.execute("SELECT user_id FROM public.team_members LIMIT 1").fetchone() or [None]
    site.run(f"DELETE FROM public.org_unit_memberships WHERE user_id = '{lost}'",
             "ALTER TABLE public.team_members ENABLE ROW LEVEL SECURITY",
             f"CREATE POLICY hide ON public.team_members USING (user_id <> '{lost}')",
             "SET citus.enable_alter_role_propagation = off", f"ALTER ROLE {READER} BYPASSRLS")
    try:
        after = site.observe()
    finally:
        site.run(f"ALTER ROLE {READER} NOBYPASSRLS")
    assert after.verdict is Verdict.INCONCLUSIVE, after.reason
    assert after.reason_code is ReasonCode.PERMISSION_DENIED, "the node refuses row_security = off"


@pytest.mark.parametrize("key_type", ["interval", "double precision"])
@pytest.mark.parametrize("tenant_type", ["text", "bigint"])
def test_lost_keys_of_a_type_that_is_hashed_as_text_are_drift(
    coordinator: psycopg.Connection[Any], tenant_type: str, key_type: str
) -> None:
    """A key is hashed on the nodes or on the coordinator, where settings that change its text could differ."""
    create_things(coordinator, tenant_type, key_type)
    key = {"interval": "k * interval '1 hour'", "double precision": "k / 3.0::float8"}[key_type]
    coordinator.execute(f"INSERT INTO public.old SELECT i::{tenant_type}, {key}, 'v' FROM "
                        "generate_series(1, 9) i, generate_series(1, 20) k")
    coordinator.execute("INSERT INTO public.new SELECT * FROM public.old")
    coordinator.execute("DELETE FROM public.new WHERE t = '4' AND k IN (SELECT k FROM public.old ORDER BY k LIMIT 45)")
    comparison = compare(things(rechecks=2), endpoints.one_database(DSN))
    assert (comparison.totals["things"].missing, comparison.totals["things"].transient) == (5, 0)


def test_drift_that_settles_is_transient(site: Site) -> None:
    site.run(*LOSE_FIVE_MEMBERS)
    after = site.observe(wait=lambda seconds: site.run(
        "INSERT INTO public.org_unit_memberships SELECT * FROM public.lost"))
    assert (after.verdict, after.entities["org_unit_memberships"].transient) == (Verdict.PASS, 5), after.reason


def test_dual_writes_of_two_tenants_in_one_transaction_never_drift(
    coordinator: psycopg.Connection[Any], connect: Connect
) -> None:
    """A commit on two nodes is visible on one of them first. Each tenant is on one node, which is read in one snapshot,
    although this role asks for a connection for each shard.
    """
    parallel = f"{DSN}{'&' if '?' in DSN else '?'}options=-c%20citus.force_max_query_parallelization%3Don"
    create_things(coordinator, "text")
    stop = threading.Event()
    coordinator.execute("INSERT INTO public.old SELECT 't' || i, 0, 'v' FROM generate_series(1, 16) i")
    coordinator.execute("INSERT INTO public.new SELECT * FROM public.old")
    written = [0, 0, 0, 0]

    def write(writer: int) -> None:
        connection = connect(DSN)
        while not stop.is_set():
            written[writer] += 1
            with connection.transaction():
                for tenant in (written[writer] % 16 + 1, (written[writer] + 5) % 16 + 1):
                    for table in ("old", "new"):
                        connection.execute(f"INSERT INTO public.{table} VALUES (%s, %s, 'v')", (
                            f"t{tenant}", written[writer] * 4 + writer))

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(len(written))]
    for thread in writers:
        thread.start()
    try:
        for _ in range(10):
            before = list(written)
            comparison = compare(things(rechecks=0), endpoints.one_database(parallel))
            assert [row for row in comparison.tenant_rows if row.drift] == []
            assert sum(written) > sum(before), "the application must write during the comparison"
    finally:
        stop.set()
        for thread in writers:
            thread.join()


def test_doctor_counts_rows_on_the_nodes_and_advises_an_index(site: Site) -> None:
    site.run("DROP INDEX public.team_members_by_user", "ALTER TABLE public.team_members DROP CONSTRAINT "
             "team_members_pkey", "INSERT INTO public.team_members SELECT 'acme', i, gen_random_uuid(), 'member' FROM "
             "generate_series(1, 30000) i", "ANALYZE")
    diagnosis = diagnose(site.context)
    assert diagnosis.ready, diagnosis
    texts = {finding.topic: finding.text for finding in diagnosis.findings}
    rows = re.search(r"about ([\d,]+) rows", texts["estimated time"])
    [actual] = site.admin.execute("SELECT " + " + ".join(
        f"(SELECT count(*) FROM public.{table})" for table in TABLES)).fetchone() or [None]
    assert rows
    assert int(rows[1].replace(",", "")) == pytest.approx(actual, rel=0.1)
    # The shard of this tenant has 30,000 rows, but the average shard has too few for advice.
    assert "indexes of org_unit_memberships.source" not in texts
    site.run("INSERT INTO public.team_members SELECT id, i, gen_random_uuid(), 'member' FROM public.tenants, "
             "generate_series(1, 10000) i", "ANALYZE")
    texts = {finding.topic: finding.text for finding in diagnose(site.context).findings}
    assert "scans public.team_members sequentially" in texts["indexes of org_unit_memberships.source"]
    assert "Citus 1" in texts["identity"]


def test_repair_of_distributed_tables_is_refused(site: Site) -> None:
    site.run(*LOSE_FIVE_MEMBERS)
    after = site.observe()
    assert after.verdict is Verdict.FAIL
    settings = read_settings({"DATABASE_URL": DSN, "ORGRECON_LEDGER_URL": f"sqlite:///{site.directory / 'ledger.db'}"})
    with pytest.raises(ConfigurationError, match="repair-sql cannot change tables that Citus distributes"):
        plan_repair(settings, None)
