"""What a person sees in the terminal: Rich where there is one, plain text otherwise."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.panel import Panel
from rich.status import Status
from rich.table import Table
from rich.text import Text

from orgrecon_pipeline.domain.evidence import KINDS, Verdict
from orgrecon_pipeline.domain.gate import GateState
from orgrecon_pipeline.domain.record import Record

if TYPE_CHECKING:
    from orgrecon_pipeline.operations.doctor import Diagnosis
    from orgrecon_pipeline.operations.gate.current import GateAnswer
    from orgrecon_pipeline.operations.trail.importer import Imported
    from orgrecon_pipeline.report.verify import Verification

_COLOURS = {"PASS": "green", "FAIL": "red", "INCONCLUSIVE": "yellow", "MISSING": "dim", "OPEN": "green",
            "CLOSED": "yellow"}
_SHOWN_TENANTS = 10
_PIPE_WIDTH = 400
_IN_TWO_LINES = {"source rows": "source\nrows", "target rows": "target\nrows", "unexpected": "unex-\npected",
                 "mismatched": "mis-\nmatched", "duplicate": "dupli-\ncate", "transient": "tran-\nsient"}


def out() -> Console:
    """Standard output; a pipe gets whole lines, however long."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console


def say(line: str) -> None:
    """One line on standard error."""
    print(f"orgrecon: {' '.join(line.split())}", file=sys.stderr)  # noqa: T201


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, ensure_ascii=False, sort_keys=True))  # noqa: T201


def show_lines(lines: Iterable[str]) -> None:
    """Plain lines on standard output."""
    console = out()
    for line in lines:
        console.print(Text(line))


@contextmanager
def progress() -> Iterator[None]:
    """Show what ``orgrecon.progress`` logs: in place on a terminal, nowhere otherwise."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status("starting") as status:
        handler = _Status(status)
        log = logging.getLogger("orgrecon.progress")
        log.setLevel(logging.INFO)
        log.addHandler(handler)
        try:
            yield
        finally:
            log.removeHandler(handler)


class _Status(logging.Handler):
    def __init__(self, status: Status) -> None:
        super().__init__()
        self._status = status

    def emit(self, record: logging.LogRecord) -> None:
        self._status.update(Text(record.getMessage()))


def show_report(record: Record, path: Path, attempt: Verdict | None = None) -> None:
    """The day's result, where its report is, and what came of this ``attempt`` where it decided nothing."""
    console = out()
    title = f"{record.day}  {record.verdict.value}  ({record.provenance.value})"
    _box(console, Text(record.reason), _COLOURS[record.verdict.value], title)
    if attempt and not attempt.decided and record.verdict.decided:
        # It ends the command with its own exit code, under a headline that says something else.
        console.print(Text(f"this attempt: {attempt.value}; the day stays {record.verdict.value}, as it was decided "
                           "before", style=_COLOURS[attempt.value]))
    _entities(console, record)
    if record.tenants_with_drift:
        _worst(console, record)
    _window(console, [
        (str(row.day), row.verdict.value, *(getattr(row, kind) for kind in KINDS),
         row.provenance.value if row.provenance else "–", row.eligible)
        for row in record.window
    ])
    _banner(console, record.gate.state, record.streak_days, record.window_days, record.gate.reason,
            record.gate.earliest_open_day)
    console.print(Text(f"report: {path}"))


def show_gate(answer: GateAnswer) -> None:
    """The gate's answer."""
    console = out()
    judged = answer.judgement
    _window(console, [
        (str(row.day), row.verdict.value, *(row.drift[kind] for kind in KINDS),
         row.provenance.value if row.provenance else "–", row.eligible)
        for row in judged.window
    ])
    _banner(console, judged.state, judged.streak_days, judged.window_days, judged.reason, judged.earliest_open_day)
    console.print(Text(f"as of {answer.as_of}, valid until {answer.valid_until:%Y-%m-%d %H:%M} UTC"))


def show_verification(verification: Verification) -> None:
    """What is wrong with a trail, and whether it is sound."""
    show_lines(verification.findings)
    show_lines(f"hole: {day} has no report" for day in verification.holes)
    state = "sound" if verification.sound else "NOT SOUND"
    found = f"{_many(verification.reports, 'report')}, {_many(len(verification.findings), 'finding')}"
    show_lines([f"{state}: {found}"])


def show_imported(imported: Imported) -> None:
    """What was taken over into the ledger."""
    show_lines([f"{_many(imported.observations, 'observation')} of {_many(len(imported.days), 'day')} imported"])


def show_findings(diagnosis: Diagnosis) -> None:
    """What the doctor found."""
    table = Table("", "what", "finding", box=None, show_header=False)
    marks = {"ok": Text("ok", "green"), "warning": Text("warning", "yellow"), "problem": Text("problem", "red")}
    for finding in diagnosis.findings:
        table.add_row(marks[finding.level], Text(finding.topic), Text(_printable(finding.text)))
    console = out()
    console.print(table)
    console.print(Text("ready" if diagnosis.ready else "NOT READY"))


def _window(console: Console, rows: Iterable[tuple[Any, ...]]) -> None:
    _table(console, "Rolling window", ("day", "status", *KINDS, "provenance", "counts"), [
        (day, Text(verdict, style=_COLOURS[verdict]), *("–" if n is None else str(n) for n in counts), provenance,
         "yes" if eligible else "no")
        for day, verdict, *counts, provenance, eligible in rows
    ])


def _entities(console: Console, record: Record) -> None:
    title = f"{_many(record.tenants_scanned, 'tenant')} scanned, {_figure(record.tenants_with_drift)} with drift"
    _table(console, title, ("entity", "source rows", "target rows", *KINDS, "transient"), [
        (name, *map(_figure, (totals.source_rows, totals.target_rows, *(getattr(totals, kind) for kind in KINDS),
                              totals.transient)))
        for name, totals in record.entities.items()
    ])


def _worst(console: Console, record: Record) -> None:
    shown = list(dict.fromkeys(row.tenant for row in record.tenants if row.drift))[:_SHOWN_TENANTS]
    _table(console, "Tenants with most drift", ("tenant", "entity", *KINDS), [
        (Text(_printable(row.tenant)), row.entity, *(str(getattr(row, kind)) for kind in KINDS))
        for row in record.tenants if row.drift and row.tenant in shown
    ])


def _banner(console: Console, state: GateState, streak: int, window: int, reason: str, earliest: date) -> None:
    text = Text(f"GATE {state.value}", style=f"bold {_COLOURS[state.value]}")
    text.append(f"  streak {streak} of {window}\n{reason}\nearliest opening day: {earliest}", style="default")
    _box(console, text, _COLOURS[state.value])


def _box(console: Console, text: Text, colour: str, title: str = "") -> None:
    if console.is_terminal:
        console.print(Panel(text, title=title or None, border_style=colour, title_align="left"))
        return
    if title:
        console.print(Text(title))
    console.print(text)


def _table(console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
    """Print a table. Nothing in it is cut: where the terminal is too narrow, headers and space make room for the names
    in the first column."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD if console.is_terminal else None)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    if console.measure(table, options=console.options.update(width=_PIPE_WIDTH)).maximum > console.width:
        table.padding = (0, 0)
        table.show_edge = False
        for column in table.columns:
            column.header = _IN_TWO_LINES.get(str(column.header), column.header)
        longest = max(cell_len(str(name)) for name in (columns[0], *(row[0] for row in rows)))
        table.columns[0].width = min(longest, console.width // 2)
    console.print(table)


def _figure(value: int | None) -> str:
    return "unknown" if value is None else f"{value}"


def _many(value: int | None, noun: str) -> str:
    return f"{_figure(value)} {noun}{'' if value == 1 else 's'}"


def _printable(text: str) -> str:
    # A tenant's name is data: no control or direction character of it reaches the terminal.
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
