"""Publishing and importing when a report has evidence that the ledger lacks."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.domain.evidence import Observation, Provenance, Verdict
from orgrecon_pipeline.domain.gate.decision import other_databases
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.operations.clock import Clock
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.observe import observe, stamp_baseline
from orgrecon_pipeline.operations.trail.importer import import_trail
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline_tests.support.default_identity import open_ledger, read_report, verify_trail
from orgrecon_pipeline_tests.support.report.cases import observation


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A context with an empty ledger and output directory."""
    return Context(default_mapping(), open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), tmp_path / "reports")


@pytest.fixture
def yesterday(context: Context) -> date:
    return context.clock.today() - timedelta(days=1)


def publish_from_another_ledger(context: Context, *observations: Observation) -> Record:
    """Write the report of a day into the output directory from another ledger with these observations."""
    ledger = open_ledger(f"sqlite:///{context.output_dir.parent / 'elsewhere.db'}")
    for row in observations:
        ledger.append(row, (), (), ())
    return publish(replace(context, ledger=ledger, output_dir=context.output_dir), observations[0].day).record


def read_back(context: Context, day: date) -> Record:
    return read_report(context.output_dir / f"{day}.md")


def test_baseline_with_known_day_imports_and_keeps_the_live_report(context: Context, yesterday: date) -> None:
    for back in range(6, -1, -1):
        stamp_baseline(context, yesterday - timedelta(days=back - 1))
        publish(context, yesterday - timedelta(days=back - 1))
    publish_from_another_ledger(context, observation(yesterday, Verdict.FAIL))
    over = stamp_baseline(context, yesterday)
    assert (over.observation.verdict, over.fresh) == (Verdict.FAIL, True)
    assert "a baseline never replaces it" in over.note
    written = publish(context, yesterday).record
    assert (written.verdict, [row.provenance for row in written.observations]) == (
        Verdict.FAIL, [Provenance.BASELINE, Provenance.LIVE])


def without_links(record: Record) -> Record:
    """Return a record without its links, because only a test stores one observation in two ledgers at once."""
    rows = tuple(row.model_copy(update={"chain": None}) for row in record.observations)
    return record.model_copy(update={"observations": rows, "chain": None, "digest": ""})


def test_past_day_imports_its_report_before_reuse(context: Context, yesterday: date) -> None:
    context.ledger.append(observation(yesterday), (), (), ())
    publish_from_another_ledger(context, observation(yesterday), observation(yesterday, Verdict.FAIL, hour=9))
    reused = observe(context, yesterday)
    assert (reused.observation.verdict, reused.fresh) == (Verdict.FAIL, True)
    assert not observe(context, yesterday).fresh


def test_publish_imports_observations_that_only_the_report_lists(context: Context, yesterday: date) -> None:
    context.ledger.append(observation(yesterday), (), (), ())
    more = publish_from_another_ledger(context, observation(yesterday), observation(yesterday, Verdict.FAIL, hour=9))
    assert without_links(publish(context, yesterday).record) == without_links(more)
    assert [seen.verdict for seen in context.ledger.observations(yesterday)] == [Verdict.PASS, Verdict.FAIL]
    # An observation that only the ledger has is listed too.
    context.ledger.append(observation(yesterday, hour=10), (), (), ())
    publish(context, yesterday)
    assert [seen.verdict.value for seen in read_back(context, yesterday).observations] == ["PASS", "FAIL", "PASS"]
    assert verify_trail(context.output_dir).findings == ()


def test_publish_over_unsound_report_writes_the_ledger_evidence(context: Context, yesterday: date) -> None:
    context.ledger.append(observation(yesterday), (), (), ())
    path = publish(context, yesterday).path
    path.write_text(path.read_text("utf-8").replace("PASS", "FAIL"), "utf-8")
    assert publish(context, yesterday).record.verdict is Verdict.PASS
    assert read_back(context, yesterday).verdict is Verdict.PASS


@pytest.mark.parametrize(("provenance", "accepted"), [
    (Provenance.LIVE, False), (Provenance.BASELINE, True), (Provenance.SIMULATED, True)])
def test_import_of_report_from_the_future_is_refused(
    provenance: Provenance, accepted: bool, context: Context, yesterday: date,
) -> None:
    """An injected clock does not apply to real evidence, which would close the gate permanently."""
    day = yesterday + timedelta(days=400)
    publish_from_another_ledger(
        context, observation(yesterday, provenance=provenance), observation(day, provenance=provenance))
    publish(replace(context, ledger=open_ledger(f"sqlite:///{context.output_dir.parent / 'elsewhere.db'}")), day)
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=timezone.utc)
    imported = import_trail(context.ledger, context.output_dir, clock=Clock.at(noon))
    assert imported.days == ((yesterday, day) if accepted else (yesterday,))
    refusals = [f"{day}.md is of the future" in refused for refused in imported.refused]
    assert refusals == ([] if accepted else [True])


def test_report_decided_by_the_better_of_equal_times_is_refused(context: Context, yesterday: date) -> None:
    """Of two observations with the same time the worse decides, so a report that shows the better one is forged."""
    passed, failed = observation(yesterday), observation(yesterday, Verdict.FAIL)
    written = publish_from_another_ledger(context, passed, failed)
    rows = tuple(row.model_copy(update={"decides": row.id == passed.id}) for row in written.observations)
    alone = publish_from_another_ledger(replace(context, output_dir=context.output_dir / "alone"), passed)
    forged = alone.model_copy(update={"observations": rows, "chain": rows[0].chain})
    forged = forged.model_copy(update={"digest": forged.expected_digest()})
    path = context.output_dir / f"{yesterday}.md"
    path.write_text(render(forged), "utf-8")
    assert "decided by an observation that no rule" in verify_trail(context.output_dir).findings[0]
    assert import_trail(context.ledger, context.output_dir).days == ()
    assert context.ledger.days() == []


def on_database(day: date, name: str, moved_from: str = "") -> Observation:
    """Return a live PASS of the database ``name``, which replaced the database ``moved_from``."""
    def pin(database: str) -> dict[str, str]:
        return {"system_identifier": "7", "database": database}

    move = {"moved_from": {"source": pin(moved_from)}} if moved_from else {}
    return observation(day, compared={"gate": GatePolicy().model_dump(), "source": pin(name), **move})


def test_import_of_a_report_of_another_database_is_refused(context: Context, yesterday: date) -> None:
    days = [yesterday - timedelta(days=back) for back in range(4)]
    for day in (days[0], days[2], days[3]):
        context.ledger.append(on_database(day, "app"), (), (), ())
    publish_from_another_ledger(context, on_database(days[1], "staging"))
    result = import_trail(context.ledger, context.output_dir)
    [refused] = result.refused
    assert f"{days[1]}.md is of another database than this ledger" in refused
    assert "'staging' on server 7" in refused
    assert not context.ledger.observations(days[1])


def test_import_of_reports_around_an_accepted_move_is_complete(context: Context, yesterday: date) -> None:
    days = [yesterday - timedelta(days=back) for back in range(3, -1, -1)]
    databases = [("old", ""), ("old", ""), ("new", "old"), ("new", "")]
    for day, (name, moved_from) in zip(days, databases, strict=True):
        publish_from_another_ledger(context, on_database(day, name, moved_from))
    assert import_trail(context.ledger, context.output_dir).days == tuple(days)
    assert not other_databases(context.ledger.evidence(yesterday))
