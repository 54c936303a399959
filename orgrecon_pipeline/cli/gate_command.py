"""The command ``gate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orgrecon_pipeline.cli import terminal, text_views
from orgrecon_pipeline.cli.options import Day, MappingFile, OutputFormat, settings_from
from orgrecon_pipeline.cli.terminal import Format
from orgrecon_pipeline.domain.errors import UsageError


def gate(
    day: Day = None,
    output_dir: Annotated[Path | None, typer.Option(
        help="Decide by the reports in this directory instead of the ledger.")] = None,
    require_live: Annotated[int, typer.Option(
        min=0, help="Days of the window that must have compared a live database.")] = 0,
    dagster_url: Annotated[str | None, typer.Option(
        metavar="URL", help="Ask the asset check of a Dagster deployment instead of the ledger.")] = None,
    mapping: MappingFile = None,
    format: OutputFormat = Format.TEXT,
) -> int:
    """Decide whether the Phase 2 read cutover may go ahead. Exit code: 0 OPEN, 1 CLOSED."""
    from orgrecon_pipeline.operations.gate.sources import answer_gate, answer_gate_from_dagster

    settings = settings_from(mapping, output_dir)
    if dagster_url is None:
        answer = answer_gate(settings, trail=output_dir, day=day, require_live=require_live)
    elif day is not None or output_dir is not None:
        raise UsageError("--dagster-url asks for the gate now: leave out --date and --output-dir.")
    else:
        answer = answer_gate_from_dagster(settings, dagster_url, require_live=require_live)
    terminal.show(answer, format, text=text_views.show_gate)
    return 0 if answer.open else 1
