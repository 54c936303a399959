"""A report that knows more than the ledger: nothing that it lists is ever lost by writing it again."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.domain.evidence import Observation, Provenance, Verdict
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.ledger.open import open_ledger
from orgrecon_pipeline.operations.clock import Clock
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.observe import observe, stamp_baseline
from orgrecon_pipeline.operations.trail.importer import import_trail
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline.report.read import read_report
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline.report.verify import evidence_of, verify_trail
from orgrecon_pipeline_tests.support.report.cases import observation


@pytest.fixture
def work(tmp_path: Path) -> Context:
    """A ledger and an audit directory."""
    return Context(default_mapping(), open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), tmp_path / "reports")


@pytest.fixture
def yesterday(work: Context) -> date:
    return work.clock.today() - timedelta(days=1)


def brought(work: Context, *observations: Observation) -> Record:
    """The report of one day, as another ledger knows it, in the audit directory."""
    ledger = open_ledger(f"sqlite:///{work.output_dir.parent / 'elsewhere.db'}")
    for seen in observations:
        ledger.append(seen, (), (), ())
    return publish(replace(work, ledger=ledger, output_dir=work.output_dir), observations[0].day).record


def there(work: Context, day: date) -> Record:
    return read_report(work.output_dir / f"{day}.md")


def test_baseline_with_known_day_imports_and_keeps_the_live_report(work: Context, yesterday: date) -> None:
    for back in range(6, -1, -1):
        stamp_baseline(work, yesterday - timedelta(days=back - 1))
        publish(work, yesterday - timedelta(days=back - 1))
    brought(work, observation(yesterday, Verdict.FAIL))
    over = stamp_baseline(work, yesterday)
    assert (over.observation.verdict, over.fresh) == (Verdict.FAIL, True)
    assert "a baseline never replaces it" in over.note
    written = publish(work, yesterday).record
    assert (written.verdict, [seen.provenance for seen in written.observations]) == (
        Verdict.FAIL, [Provenance.BASELINE, Provenance.LIVE])


def test_past_day_imports_its_report_before_reuse(work: Context, yesterday: date) -> None:
    work.ledger.append(observation(yesterday), (), (), ())
    brought(work, observation(yesterday), observation(yesterday, Verdict.FAIL, hour=9))
    reused = observe(work, yesterday)
    assert (reused.observation.verdict, reused.fresh) == (Verdict.FAIL, True)
    assert not observe(work, yesterday).fresh


def test_publish_imports_observations_that_only_the_report_lists(work: Context, yesterday: date) -> None:
    work.ledger.append(observation(yesterday), (), (), ())
    more = brought(work, observation(yesterday), observation(yesterday, Verdict.FAIL, hour=9))
    assert publish(work, yesterday).record == more
    assert [seen.verdict for seen in work.ledger.observations(yesterday)] == [Verdict.PASS, Verdict.FAIL]
    # What the ledger alone knows is listed beside it.
    work.ledger.append(observation(yesterday, hour=10), (), (), ())
    publish(work, yesterday)
    assert [seen.verdict.value for seen in there(work, yesterday).observations] == ["PASS", "FAIL", "PASS"]
    assert verify_trail(work.output_dir).findings == ()


def test_publish_over_unsound_report_writes_the_ledger_evidence(work: Context, yesterday: date) -> None:
    work.ledger.append(observation(yesterday), (), (), ())
    path = publish(work, yesterday).path
    path.write_text(path.read_text("utf-8").replace("PASS", "FAIL"), "utf-8")
    assert publish(work, yesterday).record.verdict is Verdict.PASS
    assert there(work, yesterday).verdict is Verdict.PASS


@pytest.mark.parametrize(("provenance", "taken"), [
    (Provenance.LIVE, False), (Provenance.BASELINE, True), (Provenance.SIMULATED, True)])
def test_import_of_report_from_the_future_is_refused(
    provenance: Provenance, taken: bool, work: Context, yesterday: date,
) -> None:
    """The ledger would keep it for ever, and the gate stay closed. An injected clock counts for no real evidence."""
    day = yesterday + timedelta(days=400)
    brought(work, observation(yesterday, provenance=provenance), observation(day, provenance=provenance))
    publish(replace(work, ledger=open_ledger(f"sqlite:///{work.output_dir.parent / 'elsewhere.db'}")), day)
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=timezone.utc)
    imported = import_trail(work.ledger, work.output_dir, clock=Clock.at(noon))
    assert imported.days == ((yesterday, day) if taken else (yesterday,))
    told = [f"{day}.md is of the future" in refused for refused in imported.refused]
    assert told == ([] if taken else [True])


def test_report_decided_by_the_better_of_equal_times_counts_as_fail(work: Context, yesterday: date) -> None:
    """Its day says so until it is rendered again; a ledger that is rebuilt from it says FAIL."""
    passed, failed = observation(yesterday), observation(yesterday, Verdict.FAIL)
    written = brought(work, passed, failed)
    rows = tuple(row.model_copy(update={"decides": row.id == passed.id}) for row in written.observations)
    alone = brought(replace(work, output_dir=work.output_dir / "alone"), passed)
    older = alone.model_copy(update={"observations": rows})
    older = older.model_copy(update={"digest": older.expected_digest()})
    path = work.output_dir / f"{yesterday}.md"
    path.write_text(render(older), "utf-8")
    assert there(work, yesterday) == older
    assert evidence_of(older, "latest").verdict is Verdict.FAIL
    assert "the report of that day says FAIL" in verify_trail(work.output_dir).findings[0]
    assert import_trail(work.ledger, work.output_dir).days == (yesterday,)
    assert publish(work, yesterday).record.verdict is Verdict.FAIL
    assert verify_trail(work.output_dir).findings == ()
