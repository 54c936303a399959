"""Options that several commands share, and the settings that they lead to."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orgrecon_pipeline.cli.output.terminal import Format
from orgrecon_pipeline.config.settings import DEFAULT_OUTPUT_DIR, Settings, read_settings
from orgrecon_pipeline.domain.days import parse_day
from orgrecon_pipeline.domain.identity import Identity

if TYPE_CHECKING:
    from orgrecon_pipeline.operations.context import Context

Day = Annotated[date | None, typer.Option(
    "--date", parser=parse_day, metavar="YYYY-MM-DD", help="UTC day (default: today).")]
OutputDir = Annotated[Path | None, typer.Option(
    metavar="DIR", help=f"Directory of the reports (default: $ORGRECON_OUTPUT_DIR, {DEFAULT_OUTPUT_DIR}).")]
MappingFile = Annotated[Path | None, typer.Option(
    "--mapping", metavar="FILE",
    help="Mapping file (default: $ORGRECON_MAPPING, ./orgrecon.yaml, the packaged mapping).")]
OutputFormat = Annotated[Format, typer.Option("--format", help="Readable text, or one JSON document on stdout.")]
SignedBy = Annotated[list[Path] | None, typer.Option(
    "--signed-by", metavar="KEY", help="Require that each report is signed by this key (a .pub file of ssh-keygen), or "
                                       "by one of several if repeated.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why this is intended. Stored permanently.")]
DirectoryArgument = Annotated[Path, typer.Argument(metavar="DIR", help="Directory of the reports.")]


def settings_from(mapping: Path | None = None, output_dir: Path | None = None) -> Settings:
    """Return the settings of the environment, overridden by the given options."""
    return read_settings(
        os.environ, mapping_file=str(mapping) if mapping else None, output_dir=str(output_dir) if output_dir else None)


def identity_from(mapping: Path | None = None) -> Identity:
    """Return the identity at hand, by the mapping and the environment."""
    return settings_from(mapping).identity


def open_context(mapping: Path | None = None, output_dir: Path | None = None) -> Context:
    """Open the ledger and everything else that an operation needs."""
    from orgrecon_pipeline.operations.context import Context

    return Context.from_settings(settings_from(mapping, output_dir))
