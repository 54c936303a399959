"""The repair script on a real server: drift of every kind, with and without concurrent writers."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.demo.faults import Fault, inject
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline_tests.support.demo.plain_check import differences
from orgrecon_pipeline_tests.support.repair.scenario import CompanyScenario, MakeTables, entity
from orgrecon_pipeline_tests.support.workload.writer import DualWriter, DualWriterSettings


@pytest.mark.parametrize("fault", Fault)
def test_each_fault_is_repaired_without_touching_other_rows(company: CompanyScenario, fault: Fault) -> None:
    drifting = {drift.tenant for drift in inject(company.admin, fault, count=3)}
    others = f"tenant_id <> ALL ('{{{','.join(drifting)}}}')"
    source, untouched = (company.rows("teams"), company.rows("team_members")), company.all_rows(others)
    sql = company.repair_sql()
    company.apply(sql)
    assert differences(company.dsn) == set()
    assert (company.rows("teams"), company.rows("team_members")) == source
    assert company.all_rows(others) == untouched
    repaired = company.all_rows()
    company.apply(sql)
    assert company.all_rows() == repaired, "the second run changed rows"


@contextmanager
def rewriting(dsn: str, tenants: list[str]) -> Iterator[list[int]]:
    """Rename teams and change roles in both models, one transaction each; yield the number of changes so far."""
    stop, changes, errors = threading.Event(), [0], []

    def write() -> None:
        rng = random.Random(1)
        with psycopg.connect(dsn, autocommit=True) as connection:
            teams = connection.execute(
                "SELECT tenant_id, id FROM public.teams WHERE tenant_id = ANY (%s)", (tenants,)).fetchall()
            while not stop.is_set():
                (tenant, team), name, role = rng.choice(teams), f"Team {changes[0]}", rng.choice(("admin", "member"))
                values = {"t": tenant, "u": team, "name": name, "role": role}
                with connection.transaction():
                    for statement in (
                        "UPDATE public.teams SET name = %(name)s WHERE tenant_id = %(t)s AND id = %(u)s",
                        "UPDATE public.org_units SET name = %(name)s WHERE tenant_id = %(t)s AND legacy_id = %(u)s",
                        "UPDATE public.team_members SET role = %(role)s WHERE tenant_id = %(t)s AND team_id = %(u)s",
                        "UPDATE public.org_unit_memberships m SET role = %(role)s FROM public.org_units u "
                        "WHERE u.tenant_id = %(t)s AND u.legacy_id = %(u)s AND m.tenant_id = u.tenant_id "
                        "AND m.org_unit_id = u.id",
                    ):
                        connection.execute(statement, values)
                changes[0] += 1

    def run() -> None:
        try:
            write()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield changes
    finally:
        stop.set()
        thread.join()
    assert errors == []


def test_all_faults_are_repaired_while_both_models_are_written(company: CompanyScenario) -> None:
    tenants = company.tenants
    drifting, written, idle = tenants[:7], tenants[7:9], tenants[10:]
    for fault in Fault:
        inject(company.admin, fault, count=3, tenants=drifting)
    of_idle = f"tenant_id = ANY ('{{{','.join(idle)}}}')"
    untouched = company.all_rows(of_idle)
    settings = DualWriterSettings(operations_per_second=None, adopt=tuple(written), workers=1)
    with DualWriter(company.dsn, settings) as writer:
        sql = company.repair_sql()
        before = sum(writer.operations.values())
        with rewriting(company.dsn, drifting) as changes:
            while not changes[0]:
                pass
            while True:
                try:
                    company.apply(sql)
                    break
                except psycopg.errors.LockNotAvailable:
                    continue  # The repair gives way to writers.
            changes_at_repair = changes[0]
            assert company.observe().verdict is Verdict.PASS
        assert sum(writer.operations.values()) > before
        assert changes[0] > changes_at_repair
    assert writer.lost == frozenset()
    assert differences(company.dsn) == set()
    assert company.all_rows(of_idle) == untouched
    repaired = company.all_rows()
    company.apply(sql)
    assert company.all_rows() == repaired


def test_unit_deleted_by_mistake_is_undeleted_with_its_id(company: CompanyScenario) -> None:
    [(unit, tenant)] = company.admin.execute(
        "UPDATE public.org_units SET deleted_at = now(), name = 'stale' WHERE id = (SELECT org_unit_id FROM "
        "public.org_unit_memberships LIMIT 1) RETURNING id, tenant_id").fetchall()
    count = company.admin.execute("SELECT count(*) FROM public.org_units").fetchone()
    company.repair()
    assert differences(company.dsn) == set()
    assert company.admin.execute(
        "SELECT deleted_at, name <> 'stale' FROM public.org_units WHERE id = %s AND tenant_id = %s", (unit, tenant)
    ).fetchall() == [(None, True)]
    assert company.admin.execute("SELECT count(*) FROM public.org_units").fetchone() == count


def test_surplus_copy_without_references_is_removed(company: CompanyScenario) -> None:
    [drift] = inject(company.admin, Fault.DUPLICATE_UNIT)
    unit, referred = (drift.tenant, drift.key[0]), \
        "EXISTS (SELECT FROM public.org_unit_memberships m WHERE m.org_unit_id = u.id)"
    # The referenced copy has a stale name. It is corrected, although the other copy has the right one.
    company.admin.execute(
        f"UPDATE public.org_units u SET name = 'stale' WHERE tenant_id = %s AND legacy_id = %s AND {referred}", unit)
    company.repair()
    assert differences(company.dsn) == set()
    assert set(company.admin.execute(
        f"SELECT deleted_at IS NULL, {referred} FROM public.org_units u WHERE tenant_id = %s AND legacy_id = %s", unit
    )) == {(True, True), (False, False)}


def test_memberships_duplicated_through_a_duplicate_unit_are_repaired(company: CompanyScenario) -> None:
    [drift] = inject(company.admin, Fault.DUPLICATE_UNIT)
    company.admin.execute(
        "INSERT INTO public.org_unit_memberships SELECT m.tenant_id, c.id, m.user_id, 'wrong' FROM public.org_units c "
        "JOIN public.org_units u ON u.tenant_id = c.tenant_id AND u.legacy_id = c.legacy_id AND u.id <> c.id "
        "JOIN public.org_unit_memberships m ON m.tenant_id = u.tenant_id AND m.org_unit_id = u.id "
        "WHERE c.tenant_id = %s AND c.legacy_id = %s", (drift.tenant, drift.key[0]))
    assert {d.kind for d in differences(company.dsn)} == {"duplicate", "mismatched"}
    company.repair()
    assert differences(company.dsn) == set()


def test_unexpected_row_without_deletion_column_is_deleted_unless_referenced(company: CompanyScenario) -> None:
    company.admin.execute("DELETE FROM public.teams WHERE deleted_at IS NOT NULL")
    company.admin.execute("DELETE FROM public.org_units WHERE deleted_at IS NOT NULL")
    company.admin.execute("DELETE FROM public.team_members m WHERE NOT EXISTS (SELECT FROM public.teams t WHERE "
                          "t.tenant_id = m.tenant_id AND t.id = m.team_id)")
    company.admin.execute("DELETE FROM public.org_unit_memberships m WHERE NOT EXISTS (SELECT FROM public.org_units u "
                          "WHERE u.tenant_id = m.tenant_id AND u.id = m.org_unit_id)")
    company.use_mapping(default_mapping(), org_units={"source": {"where": None}, "target": {"where": None}})
    tenants = company.tenants
    leaf = "SELECT tenant_id, max(id) FROM public.teams WHERE tenant_id = %s GROUP BY tenant_id"
    [(tenant, deleted)], [(other, referenced)] = (
        company.admin.execute(leaf, (name,)).fetchall() for name in tenants[:2])
    # The first unit lost its members too, the other one still has members.
    company.admin.execute("DELETE FROM public.team_members WHERE tenant_id = %s AND team_id = %s", (tenant, deleted))
    company.admin.execute("DELETE FROM public.teams WHERE (tenant_id, id) IN ((%s, %s), (%s, %s))",
                          (tenant, deleted, other, referenced))
    [remaining] = [d for d in differences(company.dsn) if d.tenant == other]
    sql = company.repair_sql()
    assert "DELETE FROM public.org_units" in sql
    company.apply(sql)
    assert differences(company.dsn) == {remaining}
    assert company.admin.execute("SELECT count(*) FROM public.org_units WHERE tenant_id = %s AND legacy_id = %s",
                                 (tenant, deleted)).fetchone() == (0,)


@pytest.mark.parametrize("own_tenant", [False, True])
def test_rows_that_refer_without_the_tenant_get_references_within_their_tenant(
    make_tables: MakeTables, own_tenant: bool
) -> None:
    tenant = "c.tenant_id" if own_tenant else "t.tenant_id"
    child = {"from": "public.c c JOIN public.t t ON t.id = c.t_id",
             "columns": {"tenant_id": tenant, "k": "t.k", "v": "c.v"}}
    tables = make_tables("""
        CREATE TABLE s (tenant_id text, k int, v text);
        CREATE TABLE d (tenant_id text, k int, v text);
        CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, tenant_id text, k int, v text);
        CREATE TABLE c (tenant_id text, t_id int REFERENCES t, v text);
        INSERT INTO s VALUES ('a', 1, 'x'), ('b', 1, 'x'), ('a', 2, 'x'), ('b', 2, 'x');
        INSERT INTO t (tenant_id, k, v) VALUES ('b', 1, 'x'), ('a', 1, 'x'), ('b', 2, 'x');
        INSERT INTO d VALUES ('a', 1, 'x'), ('b', 1, 'x'), ('a', 2, 'x');
        INSERT INTO c VALUES ('b', 1, 'x')""", e=entity(), c=entity("public.d", child))
    tables.repair()
    assert tables.observe().verdict is Verdict.PASS
    assert tables.query("SELECT t.tenant_id, t.k FROM c JOIN t ON t.id = c.t_id ORDER BY 1, 2") == [
        ("a", 1), ("a", 2), ("b", 1)]
