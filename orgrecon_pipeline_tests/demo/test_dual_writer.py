"""The workload of the tests: exactly the keys that the dual writer reports as lost drift."""

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
A_YEAR_SECONDS = 365 * 86_400.0


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
def test_writer_without_loss_leaves_both_sides_equal_when_it_stops(first, lag, company_database):
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
def test_writer_with_loss_leaves_exactly_the_lost_keys_drifting(loss, first, lag, company_database):
    writer = run(company_database, operations=300, workers=2, lag_seconds=lag, first=first, loss=loss)
    assert differences(company_database) == writer.lost == writer.possibly_lost
    assert {key.kind for key in writer.lost} == {"missing", "unexpected", "mismatched"}


@pytest.mark.parametrize("operation", sorted(EVERY_OPERATION))
def test_loss_of_each_operation_is_reported(operation, company_database):
    writer = run(company_database, operations=800, loss=0.8, losable=(operation,), tenants=6)
    assert differences(company_database) == writer.lost
    assert len(writer.lost) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("number", range(12))  # each combination of the settings once
def test_writer_with_any_seed_leaves_exactly_the_lost_keys_drifting(number, company_database):
    writer = run(company_database, operations=1_000, loss=(0.002, 0.02, 0.2)[number % 3], seed=number,
                 first=("legacy", "v2_3")[number % 2], lag_seconds=(0.0, 0.001)[number // 2 % 2])
    assert differences(company_database) == writer.lost


def test_writer_that_loses_every_operation_reports_all(company_database):
    writer = run(company_database, operations=200, loss=1.0)
    assert differences(company_database) == writer.lost
    assert len(writer.lost) >= 200


def test_write_in_one_transaction_is_never_half_visible(company_database):
    settings = DualWriterSettings(operations_per_second=None, workers=2)
    with DualWriter(company_database, settings) as writer:
        counts = []
        while len(counts) < 30:
            counts.append(sum(writer.operations.values()))
            assert differences(company_database) == set()
    assert counts[-1] > counts[0] + 30, "it must write during the comparison"


def test_lag_shows_as_missing_until_the_second_write(company_database):
    writer = DualWriter(company_database, DualWriterSettings(
        operations=50, operations_per_second=None, lag_seconds=A_YEAR_SECONDS))
    with writer:
        writer.wait()
        assert writer.pending >= 50
        assert {key.kind for key in differences(company_database)} == {"missing"}, "the second side is empty"
        assert writer.lost == frozenset()
    assert writer.pending == 0
    assert differences(company_database) == set()


def test_loss_is_reported_only_once_its_key_drifts(company_database):
    settings = DualWriterSettings(operations_per_second=None, workers=2, loss=0.05, lag_seconds=0.02,
                                  cooldown_seconds=0.1)
    keys = lambda drifting: {(key.entity, key.tenant, key.key) for key in drifting}  # noqa: E731
    with DualWriter(company_database, settings) as writer:
        while len(writer.lost) < 40:
            before = keys(writer.lost)
            assert before <= keys(differences(company_database))
    assert differences(company_database) == writer.lost


def test_requested_loss_happens(company_database):
    settings = DualWriterSettings(operations_per_second=500)
    with DualWriter(company_database, settings) as writer:
        before = writer.lost
        writer.lose_next()
        while not writer.lost:
            pass
    assert before == frozenset()
    assert differences(company_database) == writer.lost
    assert all(isinstance(key, DriftingKey) for key in writer.lost)


def test_seed_determines_what_is_written(new_database, template):
    def written(seed_of_writer):
        dsn = new_database(template)
        run(dsn, operations=300, loss=0.05, seed=seed_of_writer)
        return contents(dsn)

    assert written(7) == written(7)
    assert written(7) != written(8)


@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_second_writer_leaves_the_rows_of_the_first_alone(loss, company_database):
    lost = run(company_database, operations=400, loss=loss).lost
    lost |= run(company_database, operations=400, loss=loss).lost
    assert differences(company_database) == lost


def test_second_writer_on_two_databases_leaves_the_rows_of_the_first_alone(new_database, template):
    source, target = new_database(template), new_database(template)
    settings = DualWriterSettings(operations=400, operations_per_second=None, lag_seconds=0.001, loss=0.3)
    lost = set()
    for _ in range(2):
        with DualWriter(source, settings, target_dsn=target) as writer:
            writer.wait()
        lost |= writer.lost
    assert differences(source, target) == lost


def test_adopted_tenants_are_changed_and_others_are_not(company_database, connect):
    company = seed(connect(company_database), tenants=5, users_per_tenant=10)
    adopted, left_alone = company.tenants[:4], company.tenants[4]
    before = contents(company_database)
    writer = run(company_database, operations=1_000, workers=2, adopt=adopted, loss=0.02)
    after = contents(company_database)
    assert differences(company_database) == writer.lost
    assert {key.tenant for key in writer.lost} & set(adopted)
    assert set(company.tenants) <= {tenant for (tenant,) in after["tenants"]}, "an adopted tenant is never deleted"
    for table in ("teams", "team_members", "org_units", "org_unit_memberships"):
        for tenant in (*adopted, left_alone):
            rows_before, rows_after = ([row for row in state[table] if row[0] == tenant] for state in (before, after))
            assert (rows_before == rows_after) == (tenant == left_alone), (table, tenant)


def test_two_databases_hold_one_side_each(new_database, template):
    source, target = new_database(template), new_database(template)
    settings = DualWriterSettings(operations=400, operations_per_second=None, lag_seconds=0.01, loss=0.03)
    with DualWriter(source, settings, target_dsn=target) as writer:
        writer.wait()
    assert differences(source, target) == writer.lost != frozenset()
    assert contents(source)["org_units"] == contents(target)["teams"] == contents(target)["tenants"] == []


@pytest.mark.parametrize("settings", [DualWriterSettings(), DualWriterSettings(lag_seconds=1, first="v2_3")])
def test_two_databases_without_lag_or_with_v23_first_are_refused(settings):
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
def test_observer_receives_every_write_of_both_sides(lag, company_database):
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


def test_failed_writer_raises_its_error_when_stopped(company_database, connect):
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


def test_write_that_changes_no_row_fails(company_database, connect):
    connection = connect(company_database)
    connection.execute("ALTER TABLE public.org_units ADD COLUMN hidden boolean")
    connection.execute("CREATE RULE swallow AS ON INSERT TO public.org_units DO INSTEAD NOTHING")
    with pytest.raises(RuntimeError, match=r"v2_3\.create_unit changed 0 rows"), DualWriter(company_database):
        pass
