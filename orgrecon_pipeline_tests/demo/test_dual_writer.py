"""The dual writer: what it says it lost is what drifts, to the key, and nothing else ever does."""

from __future__ import annotations

import time
from collections import Counter

import psycopg
import pytest

from orgrecon_pipeline.demo.company import seed
from orgrecon_pipeline.demo.faults import DriftingKey
from orgrecon_pipeline_tests.support.demo.plain_check import differences
from orgrecon_pipeline_tests.support.workload.writer import DualWriter, DualWriterSettings

EVERY_OPERATION = {"create_tenant", "delete_tenant", "create_unit", "rename_unit", "move_unit", "retire_unit",
                   "delete_unit", "add_member", "change_role", "remove_member"}
A_YEAR = 365 * 86_400.0


def run(dsn, **settings):
    writer = DualWriter(dsn, DualWriterSettings(operations_per_second=None, **settings))
    with writer:
        writer.wait()
    return writer


def contents(dsn):
    queries = {
        "tenants": "SELECT id FROM public.tenants",
        "teams": "SELECT tenant_id, id, name, parent_team_id, deleted_at IS NULL FROM public.teams",
        "team_members": "SELECT tenant_id, team_id, user_id, role FROM public.team_members",
        "org_units": "SELECT tenant_id, legacy_id, name, deleted_at IS NULL FROM public.org_units",
        "org_unit_memberships": """SELECT m.tenant_id, u.legacy_id, user_id, role FROM public.org_unit_memberships m
            JOIN public.org_units u ON u.tenant_id = m.tenant_id AND u.id = m.org_unit_id""",
    }
    with psycopg.connect(dsn) as connection:
        return {table: sorted(connection.execute(query).fetchall(), key=repr) for table, query in queries.items()}


@pytest.mark.parametrize("first", ["legacy", "v2_3"])
@pytest.mark.parametrize("lag", [0.0, 0.01])
def test_without_loss_both_sides_are_equal_after_the_drain(first, lag, company_database):
    writer = run(company_database, operations=400, workers=2, lag_seconds=lag, first=first)
    assert differences(company_database) == set()
    assert set(writer.operations) == EVERY_OPERATION
    assert sum(writer.operations.values()) == 2 * (400 + 1)
    assert writer.lost == frozenset()
    assert writer.pending == 0
    assert all(contents(company_database).values())


@pytest.mark.parametrize("first", ["legacy", "v2_3"])
@pytest.mark.parametrize("lag", [0.0, 0.01])
@pytest.mark.parametrize("loss", [0.05, 0.5])
def test_what_was_lost_is_exactly_what_differs(loss, first, lag, company_database):
    writer = run(company_database, operations=300, workers=2, lag_seconds=lag, first=first, loss=loss)
    assert differences(company_database) == writer.lost == writer.possibly_lost
    assert {drift.kind for drift in writer.lost} == {"missing", "unexpected", "mismatched"}


@pytest.mark.parametrize("operation", sorted(EVERY_OPERATION))
def test_every_operation_can_be_the_one_that_is_lost(operation, company_database):
    writer = run(company_database, operations=800, loss=0.8, losable=(operation,), tenants=6)
    assert differences(company_database) == writer.lost
    assert len(writer.lost) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("number", range(24))
def test_what_was_lost_is_exactly_what_differs_whatever_the_seed(number, company_database):
    writer = run(company_database, operations=1_000, loss=(0.002, 0.02, 0.2)[number % 3], seed=number,
                 first=("legacy", "v2_3")[number % 2], lag_seconds=(0.0, 0.001)[number // 2 % 2])
    assert differences(company_database) == writer.lost


def test_everything_lost_is_known_too(company_database):
    writer = run(company_database, operations=200, loss=1.0)
    assert differences(company_database) == writer.lost
    assert len(writer.lost) >= 200


def test_one_transaction_for_both_sides_is_never_seen_half_done(company_database):
    settings = DualWriterSettings(operations_per_second=None, workers=2)
    with DualWriter(company_database, settings) as writer:
        seen = []
        while len(seen) < 30:
            seen.append(sum(writer.operations.values()))
            assert differences(company_database) == set()
    assert seen[-1] > seen[0] + 30, "it has to be writing while it is looked at"


def test_a_lag_is_seen_until_the_second_write_comes(company_database):
    writer = DualWriter(company_database, DualWriterSettings(
        operations=50, operations_per_second=None, lag_seconds=A_YEAR))
    with writer:
        writer.wait()
        assert writer.pending >= 50
        assert {drift.kind for drift in differences(company_database)} == {"missing"}, "nothing is on the second side"
        assert writer.lost == frozenset()
    assert writer.pending == 0
    assert differences(company_database) == set()


def test_a_loss_is_reported_no_sooner_than_it_drifts_and_announced_before(company_database):
    settings = DualWriterSettings(operations_per_second=None, workers=2, loss=0.05, lag_seconds=0.02,
                                  cooldown_seconds=0.1)
    keys = lambda drifts: {(drift.entity, drift.tenant, drift.key) for drift in drifts}  # noqa: E731
    with DualWriter(company_database, settings) as writer:
        while len(writer.lost) < 40:
            before = keys(writer.lost)
            assert before <= keys(differences(company_database))
    assert differences(company_database) == writer.lost


def test_a_loss_can_be_asked_for(company_database):
    settings = DualWriterSettings(operations_per_second=500)
    with DualWriter(company_database, settings) as writer:
        before = writer.lost
        writer.lose_next()
        while not writer.lost:
            pass
    assert before == frozenset()
    assert differences(company_database) == writer.lost
    assert all(isinstance(drift, DriftingKey) for drift in writer.lost)


def test_the_same_seed_writes_the_same(new_database, template):
    def written(seed_of_writer):
        dsn = new_database(template)
        run(dsn, operations=300, loss=0.05, seed=seed_of_writer)
        return contents(dsn)

    assert written(7) == written(7)
    assert written(7) != written(8)


@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_a_second_run_goes_on_beside_what_the_first_one_left(loss, company_database):
    lost = run(company_database, operations=400, loss=loss).lost
    lost |= run(company_database, operations=400, loss=loss).lost
    assert differences(company_database) == lost


def test_a_second_run_on_two_databases_goes_on_too(new_database, template):
    source, target = new_database(template), new_database(template)
    settings = DualWriterSettings(operations=400, operations_per_second=None, lag_seconds=0.001, loss=0.3)
    lost = set()
    for _ in range(2):
        with DualWriter(source, settings, target_dsn=target) as writer:
            writer.wait()
        lost |= writer.lost
    assert differences(source, target) == lost


def test_it_takes_over_tenants_that_exist_and_leaves_others_alone(company_database, connect):
    company = seed(connect(company_database), tenants=5, users_per_tenant=10)
    adopted, left_alone = company.tenants[:4], company.tenants[4]
    before = contents(company_database)
    writer = run(company_database, operations=1_000, workers=2, adopt=adopted, loss=0.02)
    after = contents(company_database)
    assert differences(company_database) == writer.lost
    assert {drift.tenant for drift in writer.lost} & set(adopted)
    assert set(company.tenants) <= {tenant for (tenant,) in after["tenants"]}, "a tenant taken over is never deleted"
    for table in ("teams", "team_members", "org_units", "org_unit_memberships"):
        for tenant in (*adopted, left_alone):
            rows_before, rows_after = ([row for row in state[table] if row[0] == tenant] for state in (before, after))
            assert (rows_before == rows_after) == (tenant == left_alone), (table, tenant)


def test_two_databases_have_a_side_each(new_database, template):
    source, target = new_database(template), new_database(template)
    settings = DualWriterSettings(operations=400, operations_per_second=None, lag_seconds=0.01, loss=0.03)
    with DualWriter(source, settings, target_dsn=target) as writer:
        writer.wait()
    assert differences(source, target) == writer.lost != frozenset()
    assert contents(source)["org_units"] == contents(target)["teams"] == contents(target)["tenants"] == []


@pytest.mark.parametrize("settings", [DualWriterSettings(), DualWriterSettings(lag_seconds=1, first="v2_3")])
def test_two_databases_need_a_lag_and_the_legacy_side_first(settings):
    with pytest.raises(ValueError, match="two databases"):
        DualWriter("postgresql:///a", settings, target_dsn="postgresql:///b")


class Counting:
    def __init__(self):
        self.first, self.second = [], []

    def first_write(self, side, write):
        self.first.append((side, write, time.monotonic()))

    def second_write(self, side, write, *, ok):
        self.second.append((side, write, ok, time.monotonic()))


@pytest.mark.parametrize("lag", [0.0, 0.05])
def test_an_observer_hears_of_every_write(lag, company_database):
    observer = Counting()
    settings = DualWriterSettings(operations=100, operations_per_second=None, lag_seconds=lag, loss=0.1)
    with DualWriter(company_database, settings, observer=observer) as writer:
        writer.wait()
        while writer.pending:
            pass
    assert [side for side, _, _ in observer.first] == ["legacy"] * 101
    assert [side for side, _, _, _ in observer.second] == ["v2_3"] * 101
    begun = {write.id: (write, moment) for _, write, moment in observer.first}
    assert len(begun) == 101
    assert {write.id: write for _, write, _, _ in observer.second} == {id: write for id, (write, _) in begun.items()}
    assert 0 < sum(not ok for _, _, ok, _ in observer.second) < 50
    assert Counter(write.operation for write, _ in begun.values()) == writer.operations
    touched = {write.operation: write.entities for write, _ in begun.values()}
    assert touched["rename_unit"] == {"org_units"}
    assert touched["add_member"] == touched["change_role"] == {"org_unit_memberships"}
    assert touched["create_tenant"] == {"org_units", "org_unit_memberships"}
    written = [moment - begun[write.id][1] for _, write, ok, moment in observer.second if ok]
    assert min(written) >= lag / 2
    assert max(written) < lag + 30


def test_a_writer_that_fails_says_so_and_does_not_hang(company_database, connect):
    connection = connect(company_database)
    writer = DualWriter(company_database, DualWriterSettings(lag_seconds=0.01))
    writer.start()
    connection.execute("ALTER TABLE public.org_units RENAME TO elsewhere")
    writer.wait()
    with pytest.raises(psycopg.errors.UndefinedTable):
        writer.stop()
    writer = DualWriter(company_database)
    writer.start()
    with pytest.raises(psycopg.errors.UndefinedTable):
        writer.stop()


def test_a_write_that_misses_its_row_is_a_failure(company_database, connect):
    connection = connect(company_database)
    connection.execute("ALTER TABLE public.org_units ADD COLUMN hidden boolean")
    connection.execute("CREATE RULE swallow AS ON INSERT TO public.org_units DO INSTEAD NOTHING")
    with pytest.raises(RuntimeError, match=r"v2_3\.create_unit changed 0 rows"), DualWriter(company_database):
        pass
