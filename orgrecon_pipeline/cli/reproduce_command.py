"""The command ``reproduce``: whether a database holds the rows that an observation compared."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orgrecon_pipeline.cli.options import MappingFile, OutputFormat, settings_from
from orgrecon_pipeline.cli.output import terminal
from orgrecon_pipeline.cli.output.screen import Text
from orgrecon_pipeline.cli.output.terminal import Format, printable
from orgrecon_pipeline.domain.databases import labelled_databases
from orgrecon_pipeline.domain.days import parse_day

if TYPE_CHECKING:
    from orgrecon_pipeline.operations.reproduction.reproduce import Reproduction

_EXIT_CODES = {"same": 0, "different": 1, "not_decided": 3}
_COLOURS = {"same": "green", "different": "red", "not_decided": "yellow"}
_WHERE = {"database": "only in the database", "other": "only in the other", "both": "both"}
# Differences in the table; JSON has all.
_LISTED = 20


def reproduce(
    day: Annotated[date | None, typer.Option(
        "--date", parser=parse_day, metavar="YYYY-MM-DD", help="UTC day (default: the latest with evidence).")] = None,
    observation: Annotated[str | None, typer.Option(
        metavar="ID", help="Observation to reproduce (default: the one that decided the day).")] = None,
    tenant: Annotated[list[str] | None, typer.Option(
        metavar="TENANT", help="Compare only this tenant. Repeat for others.")] = None,
    against: Annotated[str | None, typer.Option(
        metavar="VARIABLE", help="Environment variable of another database, such as the live one: list the keys of "
        "differing tenants that differ there.")] = None,
    mapping: MappingFile = None,
    format: OutputFormat = Format.TEXT,
) -> int:
    """Show that DATABASE_URL, such as a restored backup, holds the rows that a day compared. Stores nothing.

    Exit code: 0 the same rows, 1 other rows, 3 not decided.
    """
    from orgrecon_pipeline.operations.reproduction.reproduce import open_for_reading
    from orgrecon_pipeline.operations.reproduction.reproduce import reproduce as compute_again

    with terminal.progress():
        result = compute_again(open_for_reading(settings_from(mapping)), day, observation_id=observation,
                               tenants=tenant or (), against=against,
                               progress=terminal.progress_log.info)
    for warning in result.warnings:
        terminal.say(f"warning: {warning['text']}")
    terminal.show(result, format, text=_show)
    return _EXIT_CODES[result.result.value]


def _show(result: Reproduction) -> None:
    screen, observation = terminal.stdout(), result.observation
    outcome = result.result.value.replace("_", " ").upper()
    day = f"{observation.day} {observation.verdict.value}"
    title = f"{outcome}  {day}, observation {observation.id}  ({result.identity})"
    screen.print_box(Text(printable(result.reason)), _COLOURS[result.result.value], title)
    labels: dict[str, list[str]] = {}
    for label, database in labelled_databases(result.databases):
        labels.setdefault(_described(database), []).append(label)
    for described, of_database in labels.items():
        screen.print(Text(printable(f"read as {' and '.join(of_database)}: {described}, {result.method} hash")))
    if rows := result.differences[:_LISTED]:
        screen.print_table("Differences", ("tenant", "entity", "side", "rows then", "rows now"), [
            [printable(str(cell)) for cell in difference] for difference in rows])
    if (more := len(result.differences) - _LISTED) > 0:
        screen.print(Text(f"and {more} more: --format json lists all"))
    if result.keys:
        headers = ("tenant", "entity", "side", "key", "where", "columns")
        screen.print_table("Keys that differ in the other database", headers, [
            [printable(cell) for cell in (
                key.tenant, key.entity, key.side, ", ".join(f"{name} = {text}" for name, text in key.key.items()),
                _WHERE[key.where], ", ".join(key.columns) or "–")]
            for key in result.keys])
    if result.keys_unknown:
        terminal.say(result.keys_unknown)


def _described(database: Mapping[str, Any]) -> str:
    recovery = ", in recovery" if database["in_recovery"] else ""
    position = f", at {database['lsn']}" if database.get("lsn") else ""
    return (f"database {database['database']} of server {database['system_identifier']} "
            f"(PostgreSQL {database['server_version']}{recovery}{position})")
