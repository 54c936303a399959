"""The asset ``drift_gate`` shows the gates of the tenants as an independent oracle decides them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest

from orgrecon_pipeline.defs import gate_check
from orgrecon_pipeline.operations.gate.dagster_client import GATE_ASSET
from orgrecon_pipeline_tests.support.defs.world import World
from orgrecon_pipeline_tests.support.operations.tenant_history import (
    TODAY,
    Day,
    days_of,
    groups_of_oracle,
    random_history,
    store,
    streak_of_oracle,
)

GATE = dg.AssetKey(GATE_ASSET)


@pytest.fixture
def company(bare_world: World) -> World:
    """A company whose clock is that of this machine."""
    bare_world.set_clock(TODAY, 12)
    return bare_world


def displayed(instance: dg.DagsterInstance) -> Mapping[str, Any]:
    """Return the metadata of the latest materialisation of ``drift_gate``, with tables as lists of rows."""
    event = instance.get_latest_materialization_event(GATE)
    assert event is not None
    assert event.asset_materialization is not None
    return {name: [dict(row.data) for row in value.records] if isinstance(value, dg.TableMetadataValue) else value.value
            for name, value in event.asset_materialization.metadata.items()}


@pytest.mark.parametrize("seed", range(6))
def test_asset_shows_the_tenant_gates_of_a_random_history_as_the_oracle_decides_them(
    company: World, instance: dg.DagsterInstance, seed: int
) -> None:
    history = random_history(random.Random(seed))
    store(company.directory, history, reports=False)
    assert company.run_gate_job(instance).success
    metadata, [ready, waiting, drifting] = displayed(instance), groups_of_oracle(history)
    assert (metadata["tenants_ready"], metadata["tenants_total"]) == (len(ready), len([*ready, *waiting, *drifting]))
    assert [(row["tenant"], row["state"], row["streak_days"]) for row in metadata["tenant_gates"]] == [
        (tenant, "OPEN" if tenant in ready else "CLOSED", streak_of_oracle(history, tenant))
        for tenant in (*drifting, *waiting, *ready)]


def test_table_of_many_tenants_is_bounded_and_shows_every_group(
    company: World, instance: dg.DagsterInstance
) -> None:
    drifting, waiting = [f"drifting {n:03}" for n in range(40)], [f"waiting {n:03}" for n in range(40)]
    clean = [f"clean {n:03}" for n in range(40)]
    tenants = frozenset([*clean, *waiting, *drifting])
    store(company.directory, days_of(
        [(tenants, frozenset(waiting))] * 2 + [(tenants, frozenset())] * 5 + [(tenants, frozenset(drifting))]),
        reports=False)
    assert company.run_gate_job(instance).success
    metadata = displayed(instance)
    assert (metadata["tenants_ready"], metadata["tenants_total"]) == (40, 120)
    assert [row["tenant"] for row in metadata["tenant_gates"]] == [*drifting[:20], *waiting[:20], *clean[:20]]
    assert {row["drifting_keys"] for row in metadata["tenant_gates"]} == {0, 1}
    assert metadata["all_tenant_gates"] == "orgrecon gate --by-tenant"


def test_company_without_tenants_has_numbers_but_no_table(company: World, instance: dg.DagsterInstance) -> None:
    assert company.run_gate_job(instance).success
    metadata = displayed(instance)
    assert (metadata["tenants_ready"], metadata["tenants_total"]) == (0, 0)
    assert "tenant_gates" not in metadata


def test_result_is_not_displayed_after_a_rerun_with_the_same_answer_and_other_tenants(
    company: World, instance: dg.DagsterInstance
) -> None:
    """Otherwise the table would show a tenant as OPEN that drifts by now."""
    both = frozenset({"acme", "globex"})
    clean = [(both, frozenset[str]())] * 7
    context = store(company.directory, days_of([*clean, (both, frozenset({"acme"}))]), reports=False)
    assert company.run_gate_job(instance).success
    assert displayed(instance)["tenants_ready"] == 1
    before = gate_check.result_now(instance, context, GATE)
    assert gate_check.is_displayed(instance, GATE, before)
    [today] = days_of([(both, frozenset({"globex"}))])
    store(company.directory, [Day(today.day, today.tenants, today.drifting, rerun=1)], reports=False)
    after = gate_check.result_now(instance, context, GATE)
    assert after.answer.decision == before.answer.decision
    assert not gate_check.is_displayed(instance, GATE, after)
    assert gate_check.refresh_gate_check(instance, context, GATE)
    assert [(row["tenant"], row["state"]) for row in displayed(instance)["tenant_gates"]] == [
        ("globex", "CLOSED"), ("acme", "OPEN")]


def test_stale_evidence_leaves_no_tenant_open(company: World, instance: dg.DagsterInstance) -> None:
    both = frozenset({"acme", "globex"})
    store(company.directory, days_of([(both, frozenset[str]())] * 8, ends_days_ago=2), reports=False)
    assert company.run_gate_job(instance).success
    metadata = displayed(instance)
    assert (metadata["tenants_ready"], metadata["tenants_total"]) == (0, 2)
    assert {row["state"] for row in metadata["tenant_gates"]} == {"CLOSED"}
