"""The demo company: its seed, and the injection of faults."""

from __future__ import annotations

import psycopg
import pytest

from orgrecon_pipeline.demo.company import create_schema, mark_simulated, seed, tenant_names
from orgrecon_pipeline.demo.faults import DriftingKey, Fault, inject
from orgrecon_pipeline_tests.support.demo.plain_check import SIDES, differences, rows_by_key

EXPECTED_KIND = {
    Fault.MISSING_UNIT: ("org_units", "missing"),
    Fault.MISSING_MEMBERSHIP: ("org_unit_memberships", "missing"),
    Fault.REVOKED_MEMBERSHIP: ("org_unit_memberships", "unexpected"),
    Fault.DELETED_UNIT: ("org_units", "unexpected"),
    Fault.RENAMED_UNIT: ("org_units", "mismatched"),
    Fault.WRONG_ROLE: ("org_unit_memberships", "mismatched"),
    Fault.DUPLICATE_UNIT: ("org_units", "duplicate"),
}
IS_SIMULATED = "SELECT current_setting('orgrecon.simulated', true)"


def contents(connection):
    return {table: connection.execute(f"SELECT t FROM public.{table} t ORDER BY t::text").fetchall()
            for table in ("tenants", "teams", "team_members", "org_units", "org_unit_memberships")}


def without_kind(drifting):
    return {(key.entity, key.tenant, key.key) for key in drifting}


def count(connection, query):
    return connection.execute(query).fetchone()[0]


@pytest.fixture
def company(company_database, connect):
    return seed(connect(company_database), tenants=20, users_per_tenant=12, seed=3)


def test_seeded_company_has_rows_and_no_drift(company, company_database, connect):
    assert differences(company_database) == set()
    connection = connect(company_database)
    for entity, expected in (("org_units", company.units), ("org_unit_memberships", company.memberships)):
        for query in SIDES[entity][:2]:
            assert len(rows_by_key(connection, query, SIDES[entity][2])) == expected > 100
    for table in ("teams", "org_units"):
        deleted = count(connection, f"SELECT count(*) FROM public.{table} WHERE deleted_at IS NOT NULL")
        assert deleted == company.deleted_units > 0
    assert count(connection, "SELECT count(*) FROM public.teams WHERE parent_team_id IS NOT NULL") > 50


def test_seeded_company_declares_every_tenant_and_leaves_some_empty(company, company_database, connect):
    connection = connect(company_database)
    declared = {tenant for (tenant,) in connection.execute("SELECT id FROM public.tenants")}
    with_rows = {tenant for (tenant,) in connection.execute("SELECT tenant_id FROM public.org_units")}
    assert declared == set(company.tenants)
    assert declared - with_rows == set(company.empty_tenants)
    assert len(company.empty_tenants) == 2


def test_seed_determines_the_rows(new_database, template, connect):
    first, second, third = (connect(new_database(template)) for _ in range(3))
    for connection, number in ((first, 1), (second, 1), (third, 2)):
        seed(connection, tenants=3, users_per_tenant=8, seed=number)
    assert contents(first) == contents(second)
    assert contents(first) != contents(third)


def test_tenant_names_are_distinct():
    names = tenant_names()
    ids = [next(names) for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert ids[0] == "acme"


def test_company_created_in_empty_database_is_marked_as_simulated(empty_database, connect):
    connection = connect(empty_database)
    create_schema(connection)
    assert count(connection, IS_SIMULATED) is None
    mark_simulated(connection)
    assert count(connect(empty_database), IS_SIMULATED) == "on"


def test_database_of_a_test_is_not_marked_as_simulated(company_database, connect):
    assert count(connect(company_database), IS_SIMULATED) is None


@pytest.mark.parametrize("fault", Fault)
def test_injected_fault_causes_exactly_the_returned_drift(fault, company, company_database, connect):
    injected = inject(connect(company_database), fault, count=4)
    assert differences(company_database) == injected
    entity, kind = EXPECTED_KIND[fault]
    assert sum((key.entity, key.kind) == (entity, kind) for key in injected) == 4
    if fault is Fault.MISSING_UNIT:
        assert any(key.entity == "org_unit_memberships" for key in injected)
    else:
        assert len(injected) == 4


def test_repeated_injections_never_touch_the_same_key(company, company_database, connect):
    connection = connect(company_database)
    everything: set[DriftingKey] = set()
    for round_number in range(3):
        for fault in Fault:
            injected = inject(connection, fault, count=2, seed=round_number)
            assert not without_kind(injected) & without_kind(everything)
            everything |= injected
            assert differences(company_database) == everything


@pytest.mark.parametrize("first", [fault for fault in Fault if fault is not Fault.MISSING_UNIT])
def test_drifting_keys_are_not_chosen_for_another_fault(first, company, company_database, connect):
    connection, tenant = connect(company_database), company.tenants[0]
    entity = EXPECTED_KIND[first][0]
    number = 0
    while True:
        try:
            inject(connection, first, tenants=[tenant], seed=number)
        except ValueError:
            break
        number += 1
    assert number > 3
    before = differences(company_database)
    for other in Fault:
        if EXPECTED_KIND[other][0] == entity:
            with pytest.raises(ValueError, match="fewer than 1 intact"):
                inject(connection, other, tenants=[tenant])
    assert differences(company_database) == before


def test_injection_changes_only_the_given_tenants(company, company_database, connect):
    chosen = company.tenants[3]
    connection = connect(company_database)
    for fault in Fault:
        assert {key.tenant for key in inject(connection, fault, tenants=[chosen])} == {chosen}


def test_seed_determines_the_injected_keys(new_database, template, connect):
    def injected(seed_of_injection):
        connection = connect(new_database(template))
        seed(connection, tenants=5, users_per_tenant=8)
        return inject(connection, Fault.WRONG_ROLE, count=3, seed=seed_of_injection)

    assert injected(1) == injected(1)
    assert injected(1) != injected(2)


def test_injection_without_enough_intact_keys_fails_and_changes_nothing(company, company_database, connect):
    connection = connect(company_database)
    with pytest.raises(ValueError, match="missing_unit: fewer than 10000 intact keys"):
        inject(connection, Fault.MISSING_UNIT, count=10_000)
    with pytest.raises(ValueError, match="fewer than 1 "):
        inject(connection, Fault.RENAMED_UNIT, tenants=list(company.empty_tenants))
    assert differences(company_database) == set()


def test_second_seed_fails_and_changes_nothing(company, company_database, connect):
    connection = connect(company_database)
    before = contents(connection)
    with pytest.raises(psycopg.errors.UniqueViolation):
        seed(connection, tenants=20, users_per_tenant=12, seed=3)
    assert contents(connection) == before
