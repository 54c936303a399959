"""Refreshing of outdated reports: by any ledger that knows as much of the tenants, to the bytes of the own ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.evidence import Observation, Provenance, Verdict
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.trail.importer import import_trail
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline.operations.trail.stale_reports import refresh_outdated
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline_tests.support.default_identity import open_ledger, verify_trail
from orgrecon_pipeline_tests.support.report.cases import DAY, History, days_back, observation, row

FIRST = days_back(3)[0]


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A context with an empty ledger and output directory, as in CI."""
    return Context(default_mapping(), open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), tmp_path / "reports")


def own_ledger(context: Context, item: Observation, tenants: int) -> Context:
    """Publish the report of a live day, which lists so many tenants, from the ledger that observed it."""
    own = replace(context, ledger=open_ledger(f"sqlite:///{context.output_dir.parent / 'own.db'}"))
    item = item.model_copy(update={"ledger": own.ledger.id})
    names = [f"tenant {number}" for number in range(tenants)]
    appeared = [CoverageEvent(CoverageSubject.TENANT, name, CoverageChange.APPEARED) for name in names]
    own.ledger.append(item, [row(name) for name in names], (), appeared)
    publish(own, item.day)
    return own


def add_baseline(context: Context, day: date) -> None:
    """Write the report of a baseline, as if it were merged later."""
    report = render(History([observation(day, provenance=Provenance.BASELINE)]).record(day))
    (context.output_dir / f"{day}.md").write_text(report)


def test_refreshed_live_report_has_the_bytes_that_its_own_ledger_renders(context: Context) -> None:
    own = own_ledger(context, observation(tenants=2), tenants=2)
    add_baseline(context, FIRST)
    assert refresh_outdated(context, verify_trail(context.output_dir)) == [DAY]
    assert verify_trail(context.output_dir).state(DAY) == "sound"
    refreshed = (context.output_dir / f"{DAY}.md").read_bytes()
    import_trail(own.ledger, context.output_dir)
    assert publish(own, DAY).path.read_bytes() == refreshed


def test_report_that_leaves_out_tenants_is_refreshed_by_its_own_ledger_only(context: Context) -> None:
    own = own_ledger(context, observation(tenants=12), tenants=2)
    before = publish(own, DAY).path.read_bytes()
    add_baseline(context, FIRST)
    assert refresh_outdated(context, verify_trail(context.output_dir)) == []
    assert (context.output_dir / f"{DAY}.md").read_bytes() == before
    assert refresh_outdated(own, verify_trail(context.output_dir)) == [DAY]


def test_refresh_imports_a_rerun_that_the_ledger_lacks_on_a_day_that_it_knows(context: Context) -> None:
    first, rerun = observation(FIRST), observation(FIRST, Verdict.FAIL, hour=9)
    history = History([first, rerun])
    context.output_dir.mkdir()
    (context.output_dir / f"{FIRST}.md").write_text(render(history.record(FIRST)))
    add_baseline(context, DAY)
    context.ledger.append(first, (), (), ())
    assert refresh_outdated(context, verify_trail(context.output_dir)) == [DAY]
    [shown] = [day for day in verify_trail(context.output_dir).records[DAY].gate.window if day.day == FIRST]
    assert shown.verdict is Verdict.FAIL

