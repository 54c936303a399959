"""Verdicts over several shards: drift, coverage, pinned databases and errors of single shards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from orgrecon_pipeline.demo.company import mark_simulated
from orgrecon_pipeline.domain.errors import ConfigurationError, DayRefused
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.operations.clock import Clock
from orgrecon_pipeline.operations.doctor import diagnose
from orgrecon_pipeline.operations.observe.acknowledge import accept_source, acknowledge_coverage
from orgrecon_pipeline.operations.observe.observe import observe
from orgrecon_pipeline_tests.support.operations.concurrency import open_sessions, wait_until
from orgrecon_pipeline_tests.support.operations.shards import (
    MEMBERSHIPS,
    NAMES,
    NO_SELECT,
    Connect,
    ShardedSite,
    delete_row,
    make_shards,
    reused_shards,
    sharded_mapping,
)

# Drift over all shards.

@pytest.mark.parametrize("exact", [False, True])
def test_equal_shards_pass(shards: ShardedSite, exact: bool) -> None:
    after = shards.observe(exact=exact)
    assert (after.verdict, after.tenants_scanned) == (Verdict.PASS, 12), after.reason
    assert {name: facts["source"]["database"] for name, facts in after.compared["shards"].items()} == {
        name: admin.info.dbname for name, admin in shards.admins.items()}
    assert {facts["tenants"] for facts in after.compared["shards"].values()} == {4}
    rows = sum(count for admin in shards.admins.values() for (count,) in admin.execute(
        "SELECT count(*) FROM public.team_members"))
    assert after.entities[MEMBERSHIPS].source_rows == rows
    wait_until(lambda: not any(open_sessions(admin) for admin in shards.admins.values()))


def test_drift_in_some_shards_fails(shards: ShardedSite) -> None:
    delete_row(shards, "eu1")
    delete_row(shards, "us1", "team_members")
    after = shards.observe()
    counted = after.entities[MEMBERSHIPS]
    assert (after.verdict, counted.missing, counted.unexpected) == (Verdict.FAIL, 1, 1), after.reason
    assert (after.tenants_scanned, after.tenants_with_drift) == (12, 2)
    assert sorted((s.tenant[:3], s.kind) for s in shards.ledger.samples(after.id)) == [
        ("eu1", "missing"), ("us1", "unexpected")]
    rows = shards.ledger.breakdown(after.id, 100)
    assert [row.tenant[:3] for row in rows if row.drift] == ["eu1", "us1"]
    assert {row.tenant for row in rows} == {tenant for name in NAMES for tenant in shards.tenants(name)}


def test_tenants_declared_by_every_shard_are_counted_once(shards: ShardedSite) -> None:
    """Each tenant is scanned and listed once, with its own rows, as if the universe were a reference table."""
    every = sorted(tenant for name in NAMES for tenant in shards.tenants(name))
    for admin in shards.admins.values():
        for tenant in [*every, "declared by all, in no shard"]:
            admin.execute("INSERT INTO public.tenants VALUES (%s) ON CONFLICT DO NOTHING", (tenant,))
    after = shards.observe()
    assert (after.verdict, after.tenants_scanned) == (Verdict.PASS, 13), after.reason
    listed = [(row.tenant, row.source_rows > 0) for row in shards.ledger.breakdown(after.id, 100)
              if row.entity == "org_units"]
    assert sorted(listed) == sorted([("declared by all, in no shard", False), *((name, True) for name in every)])


def test_tenant_in_two_shards_is_refused(shards: ShardedSite) -> None:
    [tenant, *_] = shards.tenants("eu1")
    shards.admins["us1"].execute(f"UPDATE public.teams SET tenant_id = '{tenant}' WHERE ctid = "
                                  "(SELECT min(ctid) FROM public.teams)")
    with pytest.raises(ConfigurationError, match=f"tenant '{tenant}' has rows in shard eu1 and in shard us1"):
        shards.observe()
    assert shards.ledger.days() == []


def test_shard_with_two_databases_finds_drift(shards: ShardedSite) -> None:
    """The target of a shard has a separate variable, and its drift is found."""
    [ap1, eu1, us1] = shards.mapping.shards
    shards.mapping = shards.mapping.model_copy(update={"shards": (ap1, eu1.model_copy(
        update={"target_env": "EU1_V23_URL"}), us1)})
    shards.dsns["eu1_v23"] = f"{shards.dsns['eu1']}&application_name=another"
    delete_row(shards, "eu1")
    after = shards.observe()
    assert (after.verdict, after.entities[MEMBERSHIPS].missing) == (Verdict.FAIL, 1), after.reason


# Losses and errors of one shard.

def test_lost_tenant_of_a_shard_passes_once_acknowledged(shards: ShardedSite) -> None:
    shards.observe()
    [tenant, *_] = shards.tenants("eu1")
    for table in ("teams", "team_members", "org_units", MEMBERSHIPS):
        shards.admins["eu1"].execute(f"DELETE FROM public.{table} WHERE tenant_id = %s", (tenant,))
    assert shards.observe().verdict is Verdict.INCONCLUSIVE
    assert acknowledge_coverage(shards.context, "the customer has left") == [f"tenant {tenant}"]
    assert shards.observe().verdict is Verdict.PASS


@pytest.mark.parametrize("emptied", [
    "TRUNCATE public.tenants, public.teams, public.team_members, public.org_units, public.org_unit_memberships",
    "UPDATE public.tenants SET id = 'id:' || id; DELETE FROM public.teams WHERE tenant_id = '{tenant}'; DELETE FROM "
    "public.team_members WHERE tenant_id = '{tenant}'; DELETE FROM public.org_units WHERE tenant_id = '{tenant}'; "
    "DELETE FROM public.org_unit_memberships WHERE tenant_id = '{tenant}'",
], ids=["everything", "a_tenant_beside_a_universe_of_another_kind"])
def test_unrelated_universe_of_a_shard_does_not_mark_tenants_as_departed(shards: ShardedSite, emptied: str) -> None:
    """The universes of the other shards do not change that."""
    shards.observe()
    [tenant, *_] = shards.tenants("eu1")
    shards.admins["eu1"].execute(emptied.format(tenant=tenant))
    for _ in range(2):
        after = shards.observe()
        assert after.verdict is Verdict.INCONCLUSIVE, after.reason
        assert f"tenant {tenant}" in after.compared["coverage"]["lost"]
        assert after.compared["coverage"]["left"] == []


def test_tenant_that_left_the_universe_of_its_shard_is_no_lost_coverage(shards: ShardedSite) -> None:
    shards.observe()
    [tenant, *_] = shards.tenants("eu1")
    shards.admins["eu1"].execute(f"DELETE FROM public.tenants WHERE id = '{tenant}'")
    for table in ("teams", "team_members", "org_units", MEMBERSHIPS):
        shards.admins["eu1"].execute(f"DELETE FROM public.{table} WHERE tenant_id = '{tenant}'")
    after = shards.observe()
    assert (after.verdict, after.compared["coverage"]["left"]) == (Verdict.PASS, [tenant]), after.reason


def test_entity_lost_by_one_shard_is_inconclusive_until_acknowledged(shards: ShardedSite) -> None:
    """Other shards still have rows of the entity, and its tenants still have rows of other entities."""
    shards.observe()
    shards.admins["eu1"].execute("TRUNCATE public.team_members, public.org_unit_memberships")
    for _ in range(2):
        after = shards.observe()
        assert after.verdict is Verdict.INCONCLUSIVE
        assert after.compared["coverage"]["lost"] == [f"entity eu1.{MEMBERSHIPS}"]
    assert acknowledge_coverage(shards.context, "nobody works there any more") == [f"entity eu1.{MEMBERSHIPS}"]
    assert shards.observe().verdict is Verdict.PASS
    assert shards.observe().verdict is Verdict.PASS


def test_unexpected_error_in_one_shard_keeps_the_others(shards: ShardedSite, monkeypatch: pytest.MonkeyPatch) -> None:
    from orgrecon_pipeline.operations.observe import shards as module

    def fail(mapping: Any, endpoints: Any, **how: Any) -> Any:
        if endpoints.source.variable == "EU1_URL":
            raise ValueError("secret")
        return real(mapping, endpoints, **how)

    real = module.compare  # type: ignore[attr-defined]
    with monkeypatch.context() as patched:
        patched.setattr(module, "compare", fail)
        after = shards.observe()
    assert after.verdict is Verdict.INCONCLUSIVE
    assert after.reason.startswith("shard eu1: internal error (ValueError in ")
    assert "secret" not in after.model_dump_json()
    assert reused_shards(shards.observe()) == {"ap1", "us1"}


def test_moved_shard_is_inconclusive_until_accepted(
    shards: ShardedSite, new_database: Callable[..., str], template: str, connect: Connect, tmp_path: Path
) -> None:
    """Its label is in the reason, and after the acceptance the other shards are reused."""
    shards.observe()
    other = make_shards(("eu1",), new_database, template, connect, tmp_path)
    home, shards.dsns["eu1"] = shards.dsns["eu1"], other.dsns["eu1"]
    refused = shards.observe()
    assert refused.verdict is Verdict.INCONCLUSIVE
    assert refused.reason.startswith("shard eu1: eu1.source: this is database ")
    assert set(accept_source(shards.context, "moved to the new cluster")) == {"eu1.source", "eu1.target"}
    after = shards.observe()
    assert (after.verdict, reused_shards(after)) == (Verdict.PASS, {"ap1", "us1"}), after.reason
    shards.dsns["eu1"] = home
    assert shards.observe().verdict is Verdict.INCONCLUSIVE


def test_shard_added_after_a_move_is_pinned(
    shards: ShardedSite, new_database: Callable[..., str], template: str, connect: Connect, tmp_path: Path
) -> None:
    """An earlier acceptance for another shard does not leave the new shard without a pin."""
    shards.mapping = sharded_mapping(NAMES[:2])
    shards.observe()
    shards.dsns["eu1"] = make_shards(("eu1",), new_database, template, connect, tmp_path).dsns["eu1"]
    assert shards.observe().verdict is Verdict.INCONCLUSIVE
    accept_source(shards.context, "moved to the new cluster")
    shards.mapping = sharded_mapping(NAMES)
    assert shards.observe().verdict is Verdict.PASS
    shards.dsns["us1"] = make_shards(("us1",), new_database, template, connect, tmp_path).dsns["us1"]
    refused = shards.observe()
    assert refused.verdict is Verdict.INCONCLUSIVE
    assert refused.reason.startswith("shard us1: us1.source: this is database "), refused.reason


def test_shard_with_a_clock_on_another_day_is_refused(shards: ShardedSite) -> None:
    """Nothing is written, and the other shards are stopped."""
    for name in ("ap1", "us1"):
        mark_simulated(shards.admins[name])
    context = replace(shards.context, clock=Clock.at(datetime(2026, 3, 1, 8, tzinfo=timezone.utc)))
    with pytest.raises(DayRefused, match=r"the database's clock \(eu1\) shows"):
        observe(context, date(2026, 3, 1))
    assert shards.ledger.days() == []
    wait_until(lambda: not any(open_sessions(admin) for admin in shards.admins.values()))


# Doctor and --restored.

def test_doctor_checks_every_shard(shards: ShardedSite) -> None:
    assert diagnose(shards.context).ready
    shards.admins["us1"].execute(NO_SELECT)
    problems = [f.topic for f in diagnose(shards.context).findings if f.level == "problem"]
    assert problems == ["shard us1: comparison"]


def test_restored_with_shards_is_refused(shards: ShardedSite) -> None:
    with pytest.raises(ConfigurationError, match="--restored needs both sides in one database"):
        observe(shards.context, shards.context.clock.today(), restored=True)


