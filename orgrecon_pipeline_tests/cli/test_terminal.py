"""What stands on a terminal of a usual width can be read there."""

from __future__ import annotations

import io
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from rich.console import Console

from orgrecon_pipeline.cli import terminal
from orgrecon_pipeline.domain.evidence import EntityTotals, Observation, Provenance, TenantRow, Verdict
from orgrecon_pipeline.domain.gate import DayEvidence, decide_gate
from orgrecon_pipeline.domain.mapping import GatePolicy
from orgrecon_pipeline.domain.record import Record, build_record
from orgrecon_pipeline.operations.gate.current import GateAnswer
from orgrecon_pipeline.operations.trail.importer import Imported
from orgrecon_pipeline.report.verify import Verification

NOW = datetime(2026, 11, 23, 8, tzinfo=timezone.utc)
DAYS = [(NOW - timedelta(days=n)).date() for n in range(6, -1, -1)]
UUID = "5f0c6a52-7a0e-4c0f-9d53-0a4b8f6f2d11"
ENTITIES = ("org_units", "org_unit_memberships")
HEADERS = ("source rows", "target rows", "missing", "unexpected", "mismatched", "duplicate", "transient")


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal of 80 columns."""
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=True, color_system=None, highlight=False)
    monkeypatch.setattr(terminal, "out", lambda: console)
    return file


def evidence(undecided: bool = False) -> dict[date, DayEvidence]:
    return {
        day: DayEvidence(
            day=day, provenance=Provenance.SIMULATED, reason="x", mapping_digest="m", saw_a_tenant=True,
            verdict=Verdict.INCONCLUSIVE if undecided and day == DAYS[0] else Verdict.PASS,
            drift=dict.fromkeys(("missing", "unexpected", "mismatched", "duplicate"), 0),
        ) for day in DAYS
    }


def record(tenant: str = UUID) -> Record:
    """A day on which a tenant drifts, of twelve with a million memberships."""
    totals = EntityTotals(source_rows=1_000_000, target_rows=1_000_001, missing=12_345, unexpected=12_345,
                          mismatched=12_345, duplicate=12_345, transient=12_345)
    seen = Observation(
        id="a", day=DAYS[-1], provenance=Provenance.SIMULATED, verdict=Verdict.FAIL, reason="98760 drifting keys.",
        observed_at=NOW, mapping_digest="m", orgrecon_version="1", tenants_scanned=12, tenants_with_drift=1,
        entities=dict.fromkeys(ENTITIES, totals), compared={},
    )
    rows = [TenantRow(tenant=tenant, entity=entity, **totals.model_dump()) for entity in ENTITIES]
    return build_record(seen, [seen], rows, [], decide_gate(DAYS[-1], evidence(), GatePolicy()))


def test_days_and_statuses_of_the_gate_stand_in_full(screen: io.StringIO) -> None:
    judged = decide_gate(DAYS[-1], evidence(undecided=True), GatePolicy())
    terminal.show_gate(GateAnswer(judged, DAYS[-1], NOW))
    shown = screen.getvalue()
    assert "…" not in shown
    lines = [line.split() for line in shown.splitlines()]
    for day in DAYS:
        status = "INCONCLUSIVE" if day == DAYS[0] else "PASS"
        assert [str(day), status] in [line[:2] for line in lines]
    assert max(map(len, shown.splitlines())) <= 80


def test_entities_and_tenants_of_a_report_stand_in_full(screen: io.StringIO) -> None:
    terminal.show_report(record(), Path("reports/2026-11-23.md"))
    shown = screen.getvalue()
    assert "…" not in shown
    firsts = [line.split()[0] for line in shown.splitlines() if line.split()]
    for name in (*ENTITIES, *map(str, DAYS)):
        assert name in firsts
    assert firsts.count(UUID) == len(ENTITIES)
    assert max(map(len, shown.splitlines())) <= 80


def test_a_tenant_with_a_long_name_is_folded(screen: io.StringIO) -> None:
    terminal.show_report(record("q" * 200), Path("reports/2026-11-23.md"))
    shown = screen.getvalue()
    assert shown.count("q") == 200 * len(ENTITIES)
    assert "…" not in shown


def test_a_wide_terminal_shows_each_header_in_one_piece(
    screen: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console(file=screen, width=120, force_terminal=True, color_system=None, highlight=False)
    monkeypatch.setattr(terminal, "out", lambda: console)
    terminal.show_report(record(), Path("reports/2026-11-23.md"))
    heads = [line for line in screen.getvalue().splitlines() if line.split()[:1] == ["entity"]]
    assert heads
    assert all(name in heads[0] for name in HEADERS)


def test_one_thing_is_not_told_of_as_many(screen: io.StringIO) -> None:
    terminal.show_verification(Verification({DAYS[0]: record()}, ("a.md is not sound.",)))
    terminal.show_imported(Imported((DAYS[0],), 1, ()))
    terminal.show_imported(Imported(tuple(DAYS), 0, ()))
    assert screen.getvalue().splitlines()[1:] == [
        "NOT SOUND: 1 report, 1 finding", "1 observation of 1 day imported", "0 observations of 7 days imported"]


@pytest.mark.parametrize(("attempt", "told"), [(None, False), (Verdict.FAIL, False), (Verdict.INCONCLUSIVE, True)])
def test_an_attempt_that_decided_nothing_is_told_beside_the_day(
    screen: io.StringIO, attempt: Verdict | None, told: bool
) -> None:
    terminal.show_report(record(), Path("reports/2026-11-23.md"), attempt)
    assert ("this attempt: INCONCLUSIVE; the day stays FAIL, as it was decided before" in screen.getvalue()) is told
