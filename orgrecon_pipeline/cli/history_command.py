"""The command ``history``: a calendar of all days in the terminal, as data, or as a picture."""

from __future__ import annotations

import sys
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orgrecon_pipeline.cli.options import MappingFile, settings_from
from orgrecon_pipeline.cli.output.screen import Text
from orgrecon_pipeline.cli.output.terminal import print_csv, print_json, say, stdout
from orgrecon_pipeline.domain.drift.kinds import DriftKind

if TYPE_CHECKING:
    from orgrecon_pipeline.operations.history import DayOutcome, History

_COLUMNS = ("day", "verdict", "provenance", *(kind.value for kind in DriftKind), "reason")
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_STYLES = {"PASS": "green", "FAIL": "red", "INCONCLUSIVE": "yellow", "MISSING": "dim"}
_MARKS = {"PASS": "pass", "INCONCLUSIVE": "undecided", "MISSING": "–"}


class HistoryFormat(str, Enum):
    """How the history is printed."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"
    SVG = "svg"


def history(
    days: Annotated[int | None, typer.Option(
        min=1, max=36_500, metavar="N", help="Only the last N days (default: all since the first report).")] = None,
    output_dir: Annotated[Path | None, typer.Option(
        metavar="DIR", help="Read the reports in this directory instead of the ledger.")] = None,
    mapping: MappingFile = None,
    format: Annotated[HistoryFormat, typer.Option(
        help="How to print the history; svg is a heat map.")] = HistoryFormat.TEXT,
) -> None:
    """Show the verdict, drift and provenance of every day as a calendar."""
    from orgrecon_pipeline.operations.gate.sources import gather_evidence
    from orgrecon_pipeline.operations.history import history_of

    evidence = gather_evidence(settings_from(mapping, output_dir), trail=output_dir, with_tenants=False)
    if evidence.distrust:
        say(f"{evidence.distrust.sentence}.")
    shown = history_of(evidence, days)
    if format is HistoryFormat.JSON:
        print_json(shown.as_json_value())
    elif format is HistoryFormat.CSV:
        print_csv(_COLUMNS, (day.as_json_value() for day in shown.days))
    elif format is HistoryFormat.SVG:
        sys.stdout.write(heat_map_of(shown))
    else:
        _print_calendar(shown)


def heat_map_of(history: History) -> str:
    """Return the heat map of a history, as SVG."""
    from orgrecon_pipeline.report.heat_map import heat_map

    return heat_map(str(history.identity), [
        (day.day, day.verdict, day.drifting_keys, day.provenance) for day in history.days])


def _print_calendar(history: History) -> None:
    """Print one line per week: ``pass``, the number of drifting keys, ``undecided``, or ``–`` without a report."""
    cells = {day.day: _cell(day) for day in history.days}
    first, last = history.days[0].day, history.days[-1].day
    monday = first - timedelta(days=first.weekday())
    weeks: list[list[str | Text]] = []
    while monday <= last:
        week = [monday + timedelta(days=number) for number in range(7)]
        weeks.append([monday.isoformat(), *(cells.get(day, Text("")) for day in week)])
        monday += timedelta(days=7)
    screen = stdout()
    screen.print_table(str(history.identity), ("week of", *_WEEKDAYS), weeks)
    verdicts = [day.verdict.value for day in history.days]
    screen.print(Text(", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in _STYLES)
                       + "; * is a baseline, r restored, s simulated"))


def _cell(day: DayOutcome) -> Text:
    mark = _MARKS.get(day.verdict.value) or f"{day.drifting_keys:,} drift"
    provenance = {"baseline": "*", "restored": " r", "simulated": " s"}.get(day.provenance or "", "")
    return Text(f"{mark}{provenance}", style=_STYLES[day.verdict.value])
