"""RepairPlan: what the SQL does on a real server, to drift of every kind, alone and beside writers."""

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
from orgrecon_pipeline_tests.support.operations.repair_pair import Patient
from orgrecon_pipeline_tests.support.workload.writer import DualWriter, DualWriterSettings


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_alone_is_healed_and_nothing_else_touched(patient: Patient, fault: Fault) -> None:
    drifting = {drift.tenant for drift in inject(patient.admin, fault, count=3)}
    others = f"tenant_id <> ALL ('{{{','.join(drifting)}}}')"
    source, untouched = (patient.rows("teams"), patient.rows("team_members")), patient.everything(others)
    sql = patient.healing().repair.sql
    patient.apply(sql)
    assert differences(patient.dsn) == set()
    assert (patient.rows("teams"), patient.rows("team_members")) == source
    assert patient.everything(others) == untouched
    healed = patient.everything()
    patient.apply(sql)
    assert patient.everything() == healed, "a second time changes nothing"


@contextmanager
def rewriting(dsn: str, tenants: list[str]) -> Iterator[list[int]]:
    """Renames teams and changes roles in both models, in one transaction each, in tenants that drift."""
    stop, done, failed = threading.Event(), [0], []

    def write() -> None:
        rng = random.Random(1)
        with psycopg.connect(dsn, autocommit=True) as connection:
            teams = connection.execute(
                "SELECT tenant_id, id FROM public.teams WHERE tenant_id = ANY (%s)", (tenants,)).fetchall()
            while not stop.is_set():
                (tenant, team), name, role = rng.choice(teams), f"Team {done[0]}", rng.choice(("admin", "member"))
                of_team = {"t": tenant, "u": team, "name": name, "role": role}
                with connection.transaction():
                    for statement in (
                        "UPDATE public.teams SET name = %(name)s WHERE tenant_id = %(t)s AND id = %(u)s",
                        "UPDATE public.org_units SET name = %(name)s WHERE tenant_id = %(t)s AND legacy_id = %(u)s",
                        "UPDATE public.team_members SET role = %(role)s WHERE tenant_id = %(t)s AND team_id = %(u)s",
                        "UPDATE public.org_unit_memberships m SET role = %(role)s FROM public.org_units u "
                        "WHERE u.tenant_id = %(t)s AND u.legacy_id = %(u)s AND m.tenant_id = u.tenant_id "
                        "AND m.org_unit_id = u.id",
                    ):
                        connection.execute(statement, of_team)
                done[0] += 1

    def guarded() -> None:
        try:
            write()
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()
    assert failed == []


def test_a_company_in_use_is_healed_of_everything(patient: Patient) -> None:
    tenants = patient.tenants
    sick, adopted, idle = tenants[:7], tenants[7:9], tenants[10:]
    for fault in Fault:
        inject(patient.admin, fault, count=3, tenants=sick)
    asleep = f"tenant_id = ANY ('{{{','.join(idle)}}}')"
    untouched = patient.everything(asleep)
    settings = DualWriterSettings(operations_per_second=None, adopt=tuple(adopted), workers=1)
    with DualWriter(patient.dsn, settings) as writer:
        sql = patient.healing().repair.sql
        before = sum(writer.operations.values())
        with rewriting(patient.dsn, sick) as rewritten:
            while not rewritten[0]:
                pass
            while True:
                try:
                    patient.apply(sql)
                    break
                except psycopg.errors.LockNotAvailable:
                    continue  # it is the repair that gives way
            once = rewritten[0]
            assert patient.observe().verdict is Verdict.PASS
        assert sum(writer.operations.values()) > before
        assert rewritten[0] > once
    assert writer.lost == frozenset()
    assert differences(patient.dsn) == set()
    assert patient.everything(asleep) == untouched
    healed = patient.everything()
    patient.apply(sql)
    assert patient.everything() == healed


def test_a_unit_that_was_deleted_by_mistake_comes_back_with_its_id(patient: Patient) -> None:
    [(unit, tenant)] = patient.admin.execute(
        "UPDATE public.org_units SET deleted_at = now(), name = 'stale' WHERE id = (SELECT org_unit_id FROM "
        "public.org_unit_memberships LIMIT 1) RETURNING id, tenant_id").fetchall()
    count = patient.admin.execute("SELECT count(*) FROM public.org_units").fetchone()
    patient.heal()
    assert differences(patient.dsn) == set()
    assert patient.admin.execute(
        "SELECT deleted_at, name <> 'stale' FROM public.org_units WHERE id = %s AND tenant_id = %s", (unit, tenant)
    ).fetchall() == [(None, True)]
    assert patient.admin.execute("SELECT count(*) FROM public.org_units").fetchone() == count


def test_of_two_copies_the_one_that_others_refer_to_stays(patient: Patient) -> None:
    [drift] = inject(patient.admin, Fault.DUPLICATE_UNIT)
    unit, referred = (drift.tenant, drift.key[0]), \
        "EXISTS (SELECT FROM public.org_unit_memberships m WHERE m.org_unit_id = u.id)"
    # The one that has to stay has a stale name, which is corrected: the copy's being right is no reason to keep it.
    patient.admin.execute(
        f"UPDATE public.org_units u SET name = 'stale' WHERE tenant_id = %s AND legacy_id = %s AND {referred}", unit)
    patient.heal()
    assert differences(patient.dsn) == set()
    assert set(patient.admin.execute(
        f"SELECT deleted_at IS NULL, {referred} FROM public.org_units u WHERE tenant_id = %s AND legacy_id = %s", unit
    )) == {(True, True), (False, False)}


def test_memberships_that_are_double_through_a_double_unit_are_healed(patient: Patient) -> None:
    [drift] = inject(patient.admin, Fault.DUPLICATE_UNIT)
    patient.admin.execute(
        "INSERT INTO public.org_unit_memberships SELECT m.tenant_id, c.id, m.user_id, 'wrong' FROM public.org_units c "
        "JOIN public.org_units u ON u.tenant_id = c.tenant_id AND u.legacy_id = c.legacy_id AND u.id <> c.id "
        "JOIN public.org_unit_memberships m ON m.tenant_id = u.tenant_id AND m.org_unit_id = u.id "
        "WHERE c.tenant_id = %s AND c.legacy_id = %s", (drift.tenant, drift.key[0]))
    assert {d.kind for d in differences(patient.dsn)} == {"duplicate", "mismatched"}
    patient.heal()
    assert differences(patient.dsn) == set()


def test_without_a_mark_for_deleted_rows_they_are_deleted_unless_something_refers_to_them(patient: Patient) -> None:
    patient.admin.execute("DELETE FROM public.teams WHERE deleted_at IS NOT NULL")
    patient.admin.execute("DELETE FROM public.org_units WHERE deleted_at IS NOT NULL")
    patient.admin.execute("DELETE FROM public.team_members m WHERE NOT EXISTS (SELECT FROM public.teams t WHERE "
                          "t.tenant_id = m.tenant_id AND t.id = m.team_id)")
    patient.admin.execute("DELETE FROM public.org_unit_memberships m WHERE NOT EXISTS (SELECT FROM public.org_units u "
                          "WHERE u.tenant_id = m.tenant_id AND u.id = m.org_unit_id)")
    patient.use(default_mapping(), org_units={"source": {"where": None}, "target": {"where": None}})
    tenants = patient.tenants
    leaf = "SELECT tenant_id, max(id) FROM public.teams WHERE tenant_id = %s GROUP BY tenant_id"
    [(tenant, gone)], [(other, kept)] = (patient.admin.execute(leaf, (name,)).fetchall() for name in tenants[:2])
    # One unit is gone with its members, the other one has left its members behind.
    patient.admin.execute("DELETE FROM public.team_members WHERE tenant_id = %s AND team_id = %s", (tenant, gone))
    patient.admin.execute("DELETE FROM public.teams WHERE (tenant_id, id) IN ((%s, %s), (%s, %s))",
                          (tenant, gone, other, kept))
    [left] = [d for d in differences(patient.dsn) if d.tenant == other]
    sql = patient.healing().repair.sql
    assert "DELETE FROM public.org_units" in sql
    patient.apply(sql)
    assert differences(patient.dsn) == {left}
    assert patient.admin.execute("SELECT count(*) FROM public.org_units WHERE tenant_id = %s AND legacy_id = %s",
                                 (tenant, gone)).fetchone() == (0,)
