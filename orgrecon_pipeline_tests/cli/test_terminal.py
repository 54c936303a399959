"""Tables on terminals of usual widths."""

from __future__ import annotations

import io
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from rich.console import Console

from orgrecon_pipeline.cli.output import terminal, text_views
from orgrecon_pipeline.cli.output.rich_screen import RichScreen
from orgrecon_pipeline.cli.output.screen import PlainScreen, Text
from orgrecon_pipeline.domain.evidence import FIGURES, EntityTotals, Observation, Provenance, TenantRow, Verdict
from orgrecon_pipeline.domain.gate.decision import DayEvidence, decide_gate
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.operations.doctor import Diagnosis, Finding
from orgrecon_pipeline.operations.gate.current import GateAnswer
from orgrecon_pipeline.operations.trail.importer import ImportResult
from orgrecon_pipeline.report.verify import Trail
from orgrecon_pipeline_tests.support.default_identity import IDENTITY, build_record

NOW = datetime(2026, 11, 23, 8, tzinfo=timezone.utc)
DAYS = [(NOW - timedelta(days=n)).date() for n in range(6, -1, -1)]
UUID = "5f0c6a52-7a0e-4c0f-9d53-0a4b8f6f2d11"
ENTITIES = ("org_units", "org_unit_memberships")
HEADERS = [figure.replace("_", " ") for figure in FIGURES]


class Stream(io.StringIO):
    """A stream that is a terminal or not."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def use_console(monkeypatch: pytest.MonkeyPatch, file: io.StringIO, width: int) -> None:
    console = Console(file=file, width=width, force_terminal=True, color_system=None, highlight=False)
    screen = RichScreen(console)
    monkeypatch.setattr(terminal, "stdout", lambda: screen)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal of 80 columns."""
    file = Stream(terminal=True)
    use_console(monkeypatch, file, 80)
    return file


def evidence(first: Verdict = Verdict.PASS) -> dict[date, DayEvidence]:
    """Return a week of simulated days, all PASS but for the first."""
    return {
        day: DayEvidence(day=day, provenance=Provenance.SIMULATED, mapping_digest="m", saw_a_tenant=True,
                         verdict=first if day == DAYS[0] else Verdict.PASS)
        for day in DAYS
    }


def record(tenant: str = UUID) -> Record:
    """Return the record of a day on which one of twelve tenants drifts, with figures of many digits."""
    totals = EntityTotals(**{**dict.fromkeys(FIGURES, 12_345), "source_rows": 1_000_000, "target_rows": 1_000_001})
    observation = Observation(
        id="a", title="Org Model v2.3", ledger="0123456789abcdef",
        day=DAYS[-1], provenance=Provenance.SIMULATED, verdict=Verdict.FAIL, reason="98760 drifting keys.",
        reason_code="unknown", reason_parameters={},
        observed_at=NOW, mapping_digest="m", orgrecon_version="1", tenants_scanned=12, tenants_with_drift=1,
        entities=dict.fromkeys(ENTITIES, totals), compared={},
    )
    rows = [TenantRow(tenant=tenant, entity=entity, **totals.model_dump()) for entity in ENTITIES]
    return build_record(observation, [observation], rows, [], decide_gate(DAYS[-1], evidence(), GatePolicy()))


def test_gate_on_a_narrow_terminal_shows_days_and_statuses_in_full(screen: io.StringIO) -> None:
    decision = decide_gate(DAYS[-1], evidence(first=Verdict.INCONCLUSIVE), GatePolicy())
    text_views.show_gate(GateAnswer(IDENTITY, None, decision, DAYS[-1], NOW), DAYS[-1])
    text = screen.getvalue()
    assert "…" not in text
    beginnings = [line.split()[:2] for line in text.splitlines()]
    for day in DAYS:
        assert [str(day), "INCONCLUSIVE" if day == DAYS[0] else "PASS"] in beginnings
    assert max(map(len, text.splitlines())) <= 80


def test_report_on_a_narrow_terminal_shows_entities_and_tenants_in_full(screen: io.StringIO) -> None:
    text_views.show_report(record(), Path("reports/2026-11-23.md"))
    text = screen.getvalue()
    assert "…" not in text
    first_words = [line.split()[0] for line in text.splitlines() if line.split()]
    for name in (*ENTITIES, *map(str, DAYS)):
        assert name in first_words
    assert first_words.count(UUID) == len(ENTITIES)
    assert max(map(len, text.splitlines())) <= 80


def test_rows_on_a_very_narrow_terminal_are_paragraphs(screen: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    use_console(monkeypatch, screen, 40)
    text_views.show_report(record(), Path("reports/2026-11-23.md"))
    lines = [line.rstrip() for line in screen.getvalue().splitlines()]
    assert max(map(len, lines[:-1])) <= 40, "only the next command, which is copied, is longer"
    for day in DAYS:
        assert lines[lines.index(str(day)) + 1].startswith("  status PASS, missing")
    assert lines.count(UUID) == len(ENTITIES)


def test_columns_that_are_too_wide_are_folded_between_words(screen: io.StringIO) -> None:
    row = ["northwind", "org_unit_memberships", "mismatched", "team_id = 21, user_id = 2101", "role", "new", "today"]
    headers = ("tenant", "entity", "kind", "key", "columns", "state", "first seen")
    terminal.stdout().print_table("1 row", headers, [row])
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert {word for cell in row for word in cell.split()} <= {word for line in lines for word in line.split()}
    assert any(line.startswith("northwind org_unit_memberships mismatched team_id = ") for line in lines), lines


def test_rows_whose_words_do_not_fit_are_paragraphs(screen: io.StringIO) -> None:
    names = [f"public.a_table_with_a_long_name_{number}" for number in range(3)]
    terminal.stdout().print_table("Proposed", ("entity", "source", "target"), [names])
    first, *others = screen.getvalue().split()[1:]
    assert [first, *others] == [names[0], "source", f"{names[1]},", "target", names[2]]


@pytest.mark.parametrize("width", [40, 80])
def test_findings_of_doctor_are_folded_not_cut(
    width: int, screen: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_console(monkeypatch, screen, width)
    grant = "GRANT EXECUTE ON FUNCTION pg_catalog.pg_get_a_function_with_a_very_long_name(text) TO reader"
    text_views.show_diagnosis(Diagnosis((Finding("problem", "columns of org_unit_memberships", grant),)))
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in screen.getvalue()


def test_long_tenant_name_is_folded_not_cut(screen: io.StringIO) -> None:
    text_views.show_report(record("q" * 200), Path("reports/2026-11-23.md"))
    text = screen.getvalue()
    assert text.count("q") == 200 * (len(ENTITIES) + 1)
    assert "…" not in text


def test_headers_on_a_wide_terminal_are_in_one_line(screen: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    use_console(monkeypatch, screen, 120)
    text_views.show_report(record(), Path("reports/2026-11-23.md"))
    headers = [line for line in screen.getvalue().splitlines() if line.split()[:1] == ["entity"]]
    assert headers
    assert all(name in headers[0] for name in HEADERS)


def test_counts_of_one_use_the_singular(screen: io.StringIO) -> None:
    text_views.show_verification(Trail({}, {DAYS[0]: record()}, ("a.md is not sound.",)))
    text_views.show_import(ImportResult((DAYS[0],), 1, ()))
    text_views.show_import(ImportResult(tuple(DAYS), 0, ()))
    assert screen.getvalue().splitlines()[1:] == [
        "NOT SOUND: 1 sound report, 1 finding", "1 observation of 1 day imported", "0 observations of 7 days imported"]


@pytest.mark.parametrize(("attempt", "shown"), [(None, False), (Verdict.FAIL, False), (Verdict.INCONCLUSIVE, True)])
def test_inconclusive_attempt_is_shown_beside_the_verdict_of_the_day(
    screen: io.StringIO, attempt: Verdict | None, shown: bool
) -> None:
    text_views.show_report(record(), Path("reports/2026-11-23.md"), attempt)
    assert ("this attempt: INCONCLUSIVE; the day stays FAIL, as decided before" in screen.getvalue()) is shown


@pytest.mark.parametrize(("tenant", "command"), [
    ("northwind", "orgrecon drift --tenant northwind --date 2026-11-23"),
    ("O'Brien & Sons", """orgrecon drift --tenant 'O'"'"'Brien & Sons' --date 2026-11-23"""),
    ("--all", "orgrecon drift --tenant=--all --date 2026-11-23"),
    ("a\x1b[31m", "orgrecon drift --date 2026-11-23"),
])
def test_failed_report_names_the_next_command(screen: io.StringIO, tenant: str, command: str) -> None:
    text_views.show_report(record(tenant), Path("reports/2026-11-23.md"), today=date(2026, 11, 24))
    assert screen.getvalue().splitlines()[-1] == f"next: {command}"


def test_next_command_names_the_mapping_and_leaves_out_today(screen: io.StringIO) -> None:
    text_views.show_report(record("northwind"), Path("r.md"), today=DAYS[-1], mapping=Path("my mapping.yaml"))
    assert screen.getvalue().splitlines()[-1] == "next: orgrecon drift --tenant northwind --mapping 'my mapping.yaml'"


MESSAGE = "fingerprints of both sides: 1,000 of about 4,000 rows, about 3 minutes left"


def test_progress_on_a_terminal_is_a_bar_with_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream(terminal=True)
    monkeypatch.setattr("sys.stderr", stream)
    for name, value in (("TERM", "xterm"), ("COLUMNS", "200"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    with terminal.progress():
        terminal.progress_log.info(MESSAGE)
    [line] = {line.split("━ ", 1)[1].strip() for line in stream.getvalue().splitlines() if MESSAGE in line}
    assert line == MESSAGE


@pytest.mark.parametrize("force_color", [False, True])
@pytest.mark.parametrize(("seconds", "shown"), [(3600.0, ""), (0.0, f"orgrecon: {MESSAGE}\n")])
def test_progress_in_a_log_is_a_plain_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, force_color: bool, seconds: float, shown: str
) -> None:
    stream = Stream(terminal=False)
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(terminal, "LINE_SECONDS", seconds)
    if force_color:
        monkeypatch.setenv("FORCE_COLOR", "1")
    with terminal.progress():
        terminal.progress_log.info(MESSAGE)
    assert stream.getvalue() == shown


@pytest.mark.parametrize("force_color", [False, True])
def test_long_lines_in_a_log_are_not_broken(force_color: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream(terminal=False)
    monkeypatch.setattr("sys.stdout", stream)
    if force_color:
        monkeypatch.setenv("FORCE_COLOR", "1")
    terminal.show_lines(["many words " * 30])
    assert len(stream.getvalue().splitlines()) == 1


@pytest.mark.parametrize("force_color", [False, True])
def test_lines_on_a_closed_stdout_are_dropped(force_color: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    if force_color:
        monkeypatch.setenv("FORCE_COLOR", "1")
    terminal.show_lines(["a line"])


def test_brackets_of_a_name_on_a_terminal_are_no_markup(screen: io.StringIO) -> None:
    name = "tenant [/b] [bold]"
    terminal.stdout().print_box(Text(name), "red", title=f"box of {name}")
    terminal.stdout().print_table(f"table of {name}", ("name", "rows"), [(name, "1")])
    assert screen.getvalue().count(name) == 4


@pytest.mark.parametrize("rows", [
    [("acme", "1", Text("ok", "green"))],
    [("northwind", "1,234", "–"), ("東京", "2", "two\nlines"), ("Zoe\u0301", "", "[bold] is no markup")],
])
def test_pipe_shows_what_a_log_with_colours_shows_without_them(rows: list[tuple[str | Text, ...]]) -> None:
    streams = Stream(terminal=False), Stream(terminal=False)
    for screen in (PlainScreen(streams[0]), RichScreen(Console(file=streams[1], color_system=None, highlight=False))):
        screen.print_table("Figures", ("tenant", "rows", "state"), rows)
        screen.print_table("", (), rows)
        screen.print_box(Text("GATE OPEN", "bold green").append("\n7 of 7", "default"), "green", "title [x]")
        screen.print(Text("a line"))
    assert streams[0].getvalue() == streams[1].getvalue()


@pytest.mark.parametrize(("message", "counts"), [
    (MESSAGE, (1000, 4000)), ("fingerprints of both sides: 5,000 of about 4,000 rows", (5000, 5001)),
    ("org_units: comparing 5 of 40 tenants by key", (0, None)), ("recheck 1 of 3 in 5 s", (0, None)),
])
def test_counts_of_a_message_are_its_share_of_the_work(message: str, counts: tuple[int, int | None]) -> None:
    assert terminal._counts(message) == counts
