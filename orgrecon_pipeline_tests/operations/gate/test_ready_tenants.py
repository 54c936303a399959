"""The tenant gates in reports equal an independent oracle, and survive an import into another ledger."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import pytest

from orgrecon_pipeline.domain.evidence import Provenance, TenantRow, Verdict
from orgrecon_pipeline.domain.gate.ready_tenants import ReadyTenants
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.trail.importer import import_trail
from orgrecon_pipeline.operations.trail.publish import publish, record_of
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline.report.verify import report_files
from orgrecon_pipeline_tests.support.default_identity import open_ledger, read_report, verify_trail
from orgrecon_pipeline_tests.support.operations.tenant_history import (
    TENANTS,
    TODAY,
    days_of,
    groups_of_oracle,
    random_history,
    store,
    streak_of_oracle,
)

CLEAN = days_of([(frozenset(TENANTS), frozenset())] * 8)


def rebuilt_from(context: Context, directory: Path) -> Ledger:
    """Return a new ledger with the reports of another one."""
    ledger = open_ledger(f"sqlite:///{directory / 'rebuilt.db'}")
    import_trail(ledger, context.output_dir)
    return ledger


def today_of(ledger: Ledger) -> ReadyTenants:
    section = record_of(ledger, TODAY).ready_tenants
    assert section is not None
    return section


@pytest.mark.parametrize("seed", range(10))
def test_ready_tenants_of_every_report_equal_oracle_and_survive_an_import(seed: int, tmp_path: Path) -> None:
    history = random_history(random.Random(seed))
    context = store(tmp_path, history, breakdown_limit=1)
    reports = dict(report_files(context.output_dir))
    for number, day in enumerate(history, start=1):
        until = history[:number]
        ready, waiting, drifting = groups_of_oracle(until, day.day)
        section = read_report(reports[day.day]).ready_tenants
        if not (ready or waiting or drifting):
            assert section is None
            continue
        assert section is not None
        assert (section.tenants, section.ready) == (len(ready + waiting + drifting), len(ready))
        assert [tenant.tenant for tenant in section.most_drift] == drifting
        assert [(tenant.tenant, tenant.streak_days) for tenant in section.nearest] == [
            (tenant, streak) for tenant in waiting if (streak := streak_of_oracle(until, tenant, day.day))]
    rebuilt = rebuilt_from(context, tmp_path)
    assert {day: render(record_of(rebuilt, day)) for day in reports} == {
        day: path.read_text("utf-8") for day, path in reports.items()}
    assert verify_trail(context.output_dir).findings == ()


def test_ready_tenants_after_an_incomplete_import_count_no_tenant_that_reports_leave_out(tmp_path: Path) -> None:
    context = store(tmp_path, CLEAN, breakdown_limit=1)
    assert today_of(context.ledger).ready == len(TENANTS)
    (context.output_dir / f"{CLEAN[0].day}.md").unlink()
    section = today_of(rebuilt_from(context, tmp_path))
    assert (section.tenants, section.ready) == (len(TENANTS), 1), "the reports list only one tenant"


def test_ready_tenants_of_an_import_are_computed_again_after_an_earlier_day_got_worse(tmp_path: Path) -> None:
    context = store(tmp_path, CLEAN, breakdown_limit=1)
    rebuilt = rebuilt_from(context, tmp_path)
    restored = context.ledger.observations(TODAY - timedelta(days=3))[-1].model_copy(update={
        "id": "restored", "provenance": Provenance.RESTORED, "verdict": Verdict.FAIL, "tenants_with_drift": 2,
        "reason_code": ReasonCode.DRIFT})
    rows = [TenantRow(tenant=tenant, entity="org_units", source_rows=3, target_rows=3, transient=0, unexpected=0,
                      mismatched=0, duplicate=0, missing=1) for tenant in TENANTS[:2]]
    for ledger in (context.ledger, rebuilt):
        ledger.append(restored, rows, (), ())
    own, imported = today_of(context.ledger), today_of(rebuilt)
    assert (own.tenants, own.ready) == (len(TENANTS), len(TENANTS) - 2)
    assert (imported.tenants, imported.ready) == (len(TENANTS), 0), "the reports list only one tenant, which drifted"


def test_ready_tenants_of_a_second_rendering_are_not_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = store(tmp_path, CLEAN[-2:])
    monkeypatch.delattr("orgrecon_pipeline.operations.gate.ready_tenants.TenantGates")
    assert publish(context, TODAY).record.ready_tenants is not None
