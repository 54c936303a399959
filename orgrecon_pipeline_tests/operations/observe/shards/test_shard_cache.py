"""Reuse of the shards that an attempt decided while other shards failed, and when it is not allowed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.evidence import Observation, Verdict
from orgrecon_pipeline.ledger.connection.address import SqliteAddress
from orgrecon_pipeline.operations.observe.acknowledge import accept_source
from orgrecon_pipeline.operations.observe.admission import LiveAdmission
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline_tests.support.default_identity import open_ledger, verify_trail
from orgrecon_pipeline_tests.support.ledger.cases import raw_connection
from orgrecon_pipeline_tests.support.mutations import json_text, mutations
from orgrecon_pipeline_tests.support.operations.shards import (
    MEMBERSHIPS,
    NAMES,
    NO_SELECT,
    SELECT,
    Connect,
    ShardedSite,
    delete_row,
    make_shards,
    reused_shards,
    sharded_mapping,
)


def observe_with_failing_shard(shards: ShardedSite, name: str, **how: Any) -> Observation:
    """Observe while one shard fails, and repair the shard afterwards."""
    shards.admins[name].execute(NO_SELECT)
    after = shards.observe(**how)
    shards.admins[name].execute(SELECT)
    assert after.verdict is Verdict.INCONCLUSIVE
    return after


@pytest.mark.parametrize("kept_in", ["sqlite", "postgres"])
def test_decided_shards_are_reused_by_the_next_attempt(
    shards: ShardedSite, kept_in: str, empty_database: str, server: EmbeddedServer, connect: Connect
) -> None:
    """The decided shard is not read; once the day is decided, the next attempt compares all shards."""
    if kept_in == "postgres":
        shards.ledger = open_ledger(empty_database)
    delete_row(shards, "eu1")
    first = observe_with_failing_shard(shards, "us1")
    assert first.reason.startswith("shard us1: ")
    assert "the role lacks a permission" in first.reason
    assert set(first.compared["shards"]) <= set(NAMES)
    home = shards.admins["eu1"].info.dbname
    with renamed_database(shards, "eu1", server):
        again = shards.observe()
        assert (again.verdict, again.tenants_scanned) == (Verdict.FAIL, 12), again.reason
        assert reused_shards(again) == {"ap1", "eu1"}
        assert again.compared["shards"]["eu1"]["source"]["database"] == home
        assert again.compared["shards"]["eu1"]["reused_from"] == first.id
        assert [sample.tenant[:3] for sample in shards.ledger.samples(again.id)] == ["eu1"]
        refused = shards.observe()
        assert refused.verdict is Verdict.INCONCLUSIVE
        assert refused.reason.startswith("shard eu1: cannot connect to the database of EU1_URL")
    assert reused_shards(shards.observe()) == {"ap1", "us1"}
    assert reused_shards(shards.observe()) == set()


@contextmanager
def renamed_database(shards: ShardedSite, name: str, server: EmbeddedServer) -> Iterator[None]:
    """Rename the database of a shard within the block."""
    database = shards.admins[name].info.dbname
    shards.admins[name].close()
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {database} RENAME TO gone")
        try:
            yield
        finally:
            admin.execute(f"ALTER DATABASE gone RENAME TO {database}")


def test_decided_shards_accumulate_over_several_attempts(shards: ShardedSite) -> None:
    """Each attempt adds its decided shards to the cache."""
    shards.admins["eu1"].execute(NO_SELECT)
    first = observe_with_failing_shard(shards, "us1")
    assert first.reason.index("shard eu1: ") < first.reason.index("; shard us1: ")
    second = shards.observe()
    assert second.verdict is Verdict.INCONCLUSIVE
    assert "us1" not in second.reason
    shards.admins["eu1"].execute(SELECT)
    last = shards.observe()
    assert last.verdict is Verdict.PASS
    assert {name: last.compared["shards"][name].get("reused_from") for name in NAMES} == {
        "ap1": first.id, "eu1": None, "us1": second.id}


@contextmanager
def without_triggers(shards: ShardedSite) -> Iterator[Any]:
    """Yield a connection to the ledger, which then permits all changes."""
    address = shards.ledger.address
    assert isinstance(address, SqliteAddress)
    with raw_connection(f"sqlite:///{address.path}") as connection:
        for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        yield connection


def test_shard_with_a_changed_result_is_compared_again(shards: ShardedSite) -> None:
    """The triggers of the ledger were dropped: the result then lacks the link that covers it."""
    delete_row(shards, "eu1")
    first = observe_with_failing_shard(shards, "us1")
    where = "WHERE shard = 'eu1'"
    with without_triggers(shards) as connection:
        [(text,)] = connection.execute(f"SELECT result FROM orgrecon_shard_result {where}").fetchall()
        assert shards.ledger.shard_results(first.id, exact=False).keys() == {"ap1", "eu1"}
        document = json.loads(text)
        for what, _ in islice(mutations(document), 0, None, 7):
            connection.execute(f"UPDATE orgrecon_shard_result SET result = ? {where}", (json_text(document),))
            assert shards.ledger.shard_results(first.id, exact=False).keys() == {"ap1"}, what
        without_drift = {**json.loads(text), "tenant_rows": []}
        connection.execute(f"UPDATE orgrecon_shard_result SET result = ? {where}", (json_text(without_drift),))
    after = shards.observe()
    assert (after.verdict, reused_shards(after)) == (Verdict.FAIL, {"ap1"}), after.reason


@pytest.mark.parametrize("change", [
    "DELETE FROM orgrecon_link", "UPDATE orgrecon_link SET entry = '{'", "UPDATE orgrecon_link SET hash = ''"])
def test_shard_whose_link_was_changed_is_compared_again(shards: ShardedSite, change: str) -> None:
    first = observe_with_failing_shard(shards, "us1")
    with without_triggers(shards) as connection:
        connection.execute(f"{change} WHERE kind = 'shard_result' AND detail = 'eu1'")
    assert shards.ledger.shard_results(first.id, exact=False).keys() == {"ap1"}


def test_shards_decided_under_other_settings_are_compared_again(shards: ShardedSite) -> None:
    observe_with_failing_shard(shards, "us1")
    observe_with_failing_shard(shards, "us1", exact=True)
    for change in ({"rechecks": 2}, {"settle_seconds": 0.01}):
        other = replace(shards, mapping=sharded_mapping(NAMES, **change))
        assert reused_shards(observe_with_failing_shard(other, "us1")) == set()
    shown = shards.mapping.report.model_copy(update={"sample_values": True})
    other = replace(shards, mapping=shards.mapping.model_copy(update={"report": shown}))
    assert reused_shards(observe_with_failing_shard(other, "us1")) == set()
    without = shards.mapping.model_copy(update={"tenants": None})
    assert without.digest != shards.mapping.digest
    other = replace(shards, mapping=without)
    after = other.observe()
    assert (after.verdict, reused_shards(after)) == (Verdict.PASS, set())


def test_shards_decided_under_other_limits_are_reused(shards: ShardedSite) -> None:
    """With more time for the slow shard, the other shards are not compared again."""
    observe_with_failing_shard(shards, "us1")
    shards.mapping = sharded_mapping(NAMES, deadline_seconds=600, lock_timeout_seconds=2, workers=1)
    assert reused_shards(shards.observe()) == {"ap1", "eu1"}


def test_shards_decided_without_exact_are_not_reused_for_exact(shards: ShardedSite) -> None:
    observe_with_failing_shard(shards, "us1")
    assert reused_shards(shards.observe(exact=True)) == set()


def test_tenant_moved_between_attempts_compares_both_shards_again(shards: ShardedSite) -> None:
    """The cached eu1 has the tenant, and us1 now has it too: eu1 is compared again before anything is refused."""
    observe_with_failing_shard(shards, "us1")
    [tenant, *_] = shards.tenants("eu1")
    for table in ("teams", "team_members", "org_units", MEMBERSHIPS):
        rows = shards.admins["eu1"].execute(f"SELECT * FROM public.{table} WHERE tenant_id = %s", (tenant,)).fetchall()
        placeholders = ", ".join(["%s"] * len(rows[0]))
        with shards.admins["us1"].cursor() as cursor:
            cursor.executemany(f"INSERT INTO public.{table} VALUES ({placeholders})", rows)
        shards.admins["eu1"].execute(f"DELETE FROM public.{table} WHERE tenant_id = %s", (tenant,))
    after = shards.observe()
    assert (after.verdict, after.tenants_scanned, reused_shards(after)) == (Verdict.PASS, 12, {"ap1"}), after.reason


def test_complete_inconclusive_attempt_is_not_reused(shards: ShardedSite) -> None:
    """After the lost rows of a shard were restored, the next attempt compares the shard again."""
    shards.observe()
    [tenant, *_] = shards.tenants("eu1")
    kept = {table: shards.admins["eu1"].execute(
        f"DELETE FROM public.{table} WHERE tenant_id = %s RETURNING *", (tenant,)).fetchall()
        for table in ("teams", "team_members", "org_units", MEMBERSHIPS)}
    observe_with_failing_shard(shards, "us1")
    lost = shards.observe()
    assert (lost.verdict, reused_shards(lost)) == (Verdict.INCONCLUSIVE, {"ap1", "eu1"})
    assert tenant in lost.reason
    for table, rows in kept.items():
        with shards.admins["eu1"].cursor() as cursor:
            cursor.executemany(f"INSERT INTO public.{table} VALUES ({', '.join(['%s'] * len(rows[0]))})", rows)
    after = shards.observe()
    assert (after.verdict, reused_shards(after)) == (Verdict.PASS, set()), after.reason


def test_complete_attempt_with_a_clock_behind_is_not_reused(
    shards: ShardedSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of attempts is that of the ledger, not of the databases' clocks."""
    observe_with_failing_shard(shards, "us1")
    real = LiveAdmission.observed_at.fget  # type: ignore[attr-defined]
    with monkeypatch.context() as patched:
        patched.setattr(LiveAdmission, "observed_at", property(lambda self: real(self) - timedelta(minutes=10)))
        assert reused_shards(shards.observe()) == {"ap1", "eu1"}
    delete_row(shards, "ap1")
    after = shards.observe()
    assert (after.verdict, reused_shards(after)) == (Verdict.FAIL, set()), after.reason


def test_shard_of_a_database_that_is_no_longer_accepted_is_not_reused(
    shards: ShardedSite, new_database: Callable[..., str], template: str, connect: Connect, tmp_path: Path
) -> None:
    shards.observe()
    observe_with_failing_shard(shards, "us1")
    other = make_shards(("eu1",), new_database, template, connect, tmp_path)
    shards.dsns["eu1"] = other.dsns["eu1"]
    observe_with_failing_shard(shards, "us1", exact=True)  # reuses nothing, so it reads the new database
    accept_source(shards.context, "moved to the new cluster")
    after = shards.observe()
    assert reused_shards(after) == {"ap1"}
    assert after.verdict is Verdict.PASS, after.reason


def test_shard_of_another_database_is_not_reused(
    shards: ShardedSite, new_database: Callable[..., str], template: str, connect: Connect, tmp_path: Path
) -> None:
    """No observation has pinned a database yet: after the variable is corrected, the correct one is compared."""
    other = make_shards(("eu1",), new_database, template, connect, tmp_path)
    home, shards.dsns["eu1"] = shards.dsns["eu1"], other.dsns["eu1"]
    observe_with_failing_shard(shards, "us1")
    shards.dsns["eu1"] = home
    delete_row(shards, "eu1")
    after = shards.observe()
    assert reused_shards(after) == {"ap1"}
    assert (after.verdict, after.entities[MEMBERSHIPS].missing) == (Verdict.FAIL, 1), after.reason


def test_report_names_every_shard(shards: ShardedSite) -> None:
    observe_with_failing_shard(shards, "us1")
    after = shards.observe()
    published = publish(shards.context, after.day)
    lines = render(published.record).splitlines()
    for name, admin in shards.admins.items():
        [databases] = [line for line in lines if line.startswith(f"| `shards.{name}.source and target` |")]
        assert f"`database` `{admin.info.dbname}`" in databases
    assert sum("`reused_from`" in line and line.startswith("| `shards.") for line in lines) == 2
    assert verify_trail(shards.context.output_dir).sound
