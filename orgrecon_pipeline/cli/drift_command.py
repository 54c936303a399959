"""The command ``drift``, which lists the drifting keys of a day."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import date
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orgrecon_pipeline.cli.options import MappingFile, settings_from
from orgrecon_pipeline.cli.output import terminal
from orgrecon_pipeline.cli.output.screen import Text
from orgrecon_pipeline.cli.output.terminal import printable
from orgrecon_pipeline.domain.days import parse_day
from orgrecon_pipeline.domain.drift.key import KeyState
from orgrecon_pipeline.domain.drift.kinds import DriftKind
from orgrecon_pipeline.domain.errors import UsageError

if TYPE_CHECKING:
    from orgrecon_pipeline.operations.drift.drift import DriftList

# A table of more rows would not be read; the other formats have all of them.
_MAX_ROWS = 200


class DriftFormat(str, Enum):
    """How drifting keys are printed."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


def drift(
    day: Annotated[date | None, typer.Option(
        "--date", parser=parse_day, metavar="YYYY-MM-DD", help="UTC day (default: the latest with evidence).")] = None,
    tenant: Annotated[str | None, typer.Option(metavar="TENANT", help="Only keys of this tenant.")] = None,
    entity: Annotated[str | None, typer.Option(metavar="ENTITY", help="Only keys of this entity.")] = None,
    kind: Annotated[DriftKind | None, typer.Option(help="Only keys that drift in this way.")] = None,
    state: Annotated[KeyState | None, typer.Option(
        help="Only keys in this state (default: new and persistent ones).")] = None,
    column: Annotated[str | None, typer.Option(
        metavar="COLUMN", help="Only mismatched keys in which this column differs.")] = None,
    since: Annotated[date | None, typer.Option(
        parser=parse_day, metavar="YYYY-MM-DD", help="Only keys that were first seen on this day or later.")] = None,
    values: Annotated[bool, typer.Option(
        "--values", help="Also compare the keys now, and show how they drift and the values that differ.")] = False,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="File to write, instead of stdout.")] = None,
    mapping: MappingFile = None,
    format: Annotated[DriftFormat, typer.Option("--format", help="Table, JSON, CSV, JSON Lines or Parquet.")] =
    DriftFormat.TEXT,
) -> int:
    """List the drifting keys of a day from the ledger. Exit code: 0 none, 1 some."""
    from orgrecon_pipeline.ledger.statements.keys import KeyFilter
    from orgrecon_pipeline.operations.drift.drift import list_drift

    if output is not None and format is DriftFormat.TEXT:
        raise UsageError("--output needs --format json, csv, jsonl or parquet.")
    with terminal.progress() if values else nullcontext():
        listed = list_drift(settings_from(mapping), day, KeyFilter(tenant, entity, kind, state, column, since),
                            values=values, progress=logging.getLogger("orgrecon.progress").info)
        if format is DriftFormat.TEXT:
            count = _show(listed)
        else:
            from orgrecon_pipeline.operations.drift.export import export_drift

            count = export_drift(listed, format.value, output)
    for note in listed.notes:
        terminal.say(note)
    return 1 if count else 0


def _current(row: dict[str, Any]) -> Iterator[str]:
    """Yield the texts of the columns that --values adds."""
    if "now" in row:
        yield ", ".join(row["now"]) or "no drift"
        yield ", ".join(f"{name}: {pair[0]!r} → {pair[1]!r}" for name, pair in (row["values"] or {}).items()) or "–"
        yield ", ".join(f"{name} = {value}" for name, value in (row["show"] or {}).items()) or "–"


def _show(listed: DriftList) -> int:
    """Print the first keys as a table, and return the number of all."""
    shown, count = [], 0
    for row in listed.rows():
        count += 1
        if count <= _MAX_ROWS:
            key = ", ".join(f"{name} = {value}" for name, value in row["key"].items())
            shown.append([printable(text) for text in (
                row["tenant"], row["entity"], row["kind"], key, ", ".join(row["columns"]) or "–",
                row["state"] or "unknown", row["first_seen"] or "unknown", *_current(row))])
    screen, observation = terminal.stdout(), listed.observation
    change = observation.change
    since = f", compared with {change.since}" if change and change.since else ""
    rows = "row" if count == 1 else "rows"
    title = f"{observation.day}  {listed.identity}  {count} {rows}{since}"
    if not count:
        screen.print(Text(f"{title}: no such key drifts"))
        return 0
    headers = ("tenant", "entity", "kind", "key", "columns", "state", "first seen")
    screen.print_table(title, headers + ("now", "values", "context") * bool(listed.live), shown)
    if count > len(shown):
        screen.print(Text(f"and {count - len(shown)} more: choose --format csv, jsonl or parquet to list all of them"))
    return count
