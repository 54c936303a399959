"""What a person sees in the terminal: Rich where there is one, plain text otherwise."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.panel import Panel
from rich.status import Status
from rich.table import Table
from rich.text import Text

from orgrecon_pipeline.domain.evidence import KINDS
from orgrecon_pipeline.domain.gate import GateState
from orgrecon_pipeline.domain.record import Record

if TYPE_CHECKING:
    from orgrecon_pipeline.operations.doctor import Diagnosis
    from orgrecon_pipeline.operations.gate import GateAnswer
    from orgrecon_pipeline.report.trail import Verification

_COLOURS = {"PASS": "green", "FAIL": "red", "INCONCLUSIVE": "yellow", "MISSING": "dim", "OPEN": "green",
            "CLOSED": "yellow"}
_SHOWN_TENANTS = 10
_PIPE_WIDTH = 400


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


def show_report(record: Record, path: Path) -> None:
    """The day's result, and where its report is."""
    console = out()
    title = f"{record.day}  {record.verdict.value}  ({record.provenance.value})"
    _box(console, Text(record.reason), _COLOURS[record.verdict.value], title)
    console.print(_entities(console, record))
    if record.tenants_with_drift:
        console.print(_worst(console, record))
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
    show_lines([f"{state}: {verification.reports} reports, {len(verification.findings)} findings"])


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
    table = _table(console, "day", "status", *KINDS, "provenance", "counts", title="Rolling window")
    for day, verdict, *counts, provenance, eligible in rows:
        table.add_row(day, Text(verdict, style=_COLOURS[verdict]), *("–" if n is None else str(n) for n in counts),
                      provenance, "yes" if eligible else "no")
    console.print(table)


def _entities(console: Console, record: Record) -> Table:
    title = f"{_figure(record.tenants_scanned)} tenants scanned, {_figure(record.tenants_with_drift)} with drift"
    table = _table(console, "entity", "source rows", "target rows", *KINDS, "transient", title=title)
    for name, totals in record.entities.items():
        figures = (totals.source_rows, totals.target_rows, *(getattr(totals, kind) for kind in KINDS), totals.transient)
        table.add_row(name, *map(_figure, figures))
    return table


def _worst(console: Console, record: Record) -> Table:
    table = _table(console, "tenant", "entity", *KINDS, title="Tenants with most drift")
    shown = list(dict.fromkeys(row.tenant for row in record.tenants if row.drift))[:_SHOWN_TENANTS]
    for row in record.tenants:
        if row.drift and row.tenant in shown:
            table.add_row(Text(_printable(row.tenant)), row.entity, *(str(getattr(row, kind)) for kind in KINDS))
    return table


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


def _table(console: Console, *columns: str, title: str) -> Table:
    return Table(*columns, title=title, title_justify="left", box=SIMPLE_HEAD if console.is_terminal else None)


def _figure(value: int | None) -> str:
    return "unknown" if value is None else f"{value}"


def _printable(text: str) -> str:
    # A tenant's name is data: no control or direction character of it reaches the terminal.
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
