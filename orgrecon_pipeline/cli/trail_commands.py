"""The commands ``verify``, ``sync`` and ``import``, which read directories of reports."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orgrecon_pipeline.cli.options import (
    DirectoryArgument,
    MappingFile,
    OutputFormat,
    SignedBy,
    identity_from,
    open_context,
    settings_from,
)
from orgrecon_pipeline.cli.output import terminal, text_views
from orgrecon_pipeline.cli.output.terminal import Format
from orgrecon_pipeline.domain.errors import OrgreconError, OtherIdentity, UsageError

if TYPE_CHECKING:
    from orgrecon_pipeline.config.settings import Settings
    from orgrecon_pipeline.operations.context import Context
    from orgrecon_pipeline.report.outline import ReportOutline
    from orgrecon_pipeline.report.verify import Trail


def verify(
    directory: Annotated[Path | None, typer.Argument(
        metavar="DIR", help="Directory of the reports (default: the output directory).")] = None,
    ledger: Annotated[bool, typer.Option(
        "--ledger", help="Check the ledger's hash chain instead, and that it has what the reports show.",
    )] = False,
    signed_by: SignedBy = None,
    mapping: MappingFile = None,
    format: OutputFormat = Format.TEXT,
) -> int:
    """Check every report of a directory: digest, bytes, name, windows, missing days. Exit code: 0 sound, 1 not.

    A report is outdated if evidence of an earlier day arrived after it. That alone is sound.
    """
    from orgrecon_pipeline.operations.trail.signing import read_public_keys
    from orgrecon_pipeline.report.verify import verify_trail

    settings = settings_from(mapping, directory)
    if ledger and signed_by:
        raise UsageError("--ledger checks the ledger, which is not signed: run verify once with each option.")
    if ledger:
        return _verify_ledger(settings, format)
    directory = settings.output_dir
    verification = verify_trail(directory, identity_from(mapping), read_public_keys(signed_by or ()))
    terminal.show(verification, format, text=text_views.show_verification)
    return 0 if verification.sound else 1


def _verify_ledger(settings: Settings, format: Format) -> int:
    from orgrecon_pipeline.operations.own_ledger import existing_ledger
    from orgrecon_pipeline.operations.trail.ledger_chain import verify_ledger

    ledger = existing_ledger(settings, settings.mapping)
    if ledger is None:
        raise UsageError("there is no ledger: run orgrecon report once, or check ORGRECON_LEDGER_URL.")
    verification = verify_ledger(ledger, settings.output_dir)
    terminal.show(verification, format, text=text_views.show_ledger_verification)
    return 0 if verification.sound else 1


def sync(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Directory to copy from: the cluster's volume.")],
    target: Annotated[Path, typer.Argument(metavar="DST", help="Directory to copy to: the repository.")],
    mapping: MappingFile = None,
    format: OutputFormat = Format.TEXT,
) -> int:
    """Copy verified reports, but never replace a report with a weaker one. Exit code: 0 copied, 1 a conflict."""
    from orgrecon_pipeline.operations.clock import Clock, read_clock
    from orgrecon_pipeline.operations.trail.sync import sync_trail

    simulated_today = read_clock(os.environ).today()
    synced = sync_trail(source, target, identity_from(mapping), Clock().today(), simulated_today)
    terminal.show(synced, format, text=lambda synced: terminal.show_lines(synced.lines()))
    for line in (*synced.conflicts, *synced.disagreements):
        terminal.say(line)
    for line in synced.outdated:
        terminal.say(f"outdated: {line}")
    return 1 if synced.conflicts else 0


def import_(directory: DirectoryArgument, mapping: MappingFile = None, format: OutputFormat = Format.TEXT) -> int:
    """Rebuild the ledger from the reports of a directory. Exit code: 0 all sound, 1 not.

    Reports in the output directory that the new evidence makes outdated are rendered again.
    """
    from orgrecon_pipeline.operations.trail.importer import import_trail
    from orgrecon_pipeline.report.verify import verify_trail

    if not directory.is_dir():
        raise UsageError(f"{directory} is not a directory: name the directory that holds the reports.")
    context = open_context(mapping)
    imported = import_trail(context.ledger, directory, clock=context.clock)
    if imported.days and os.environ.get("DAGSTER_HOME"):
        from orgrecon_pipeline.defs.in_process import update_gate_check

        if warning := update_gate_check(os.environ):
            terminal.say(warning)
    terminal.show(imported, format, text=text_views.show_import)
    for refusal in imported.refused:
        terminal.say(refusal)
    with suppress(OtherIdentity):  # the directory at hand need not be that of this ledger
        refresh_reports(context, verify_trail(context.output_dir, context.ledger.identity))
    return 1 if imported.refused else 0


def refresh_reports(context: Context, trail: Trail[ReportOutline]) -> None:
    """Render the outdated reports of the output directory again; ``trail`` is its verification."""
    from orgrecon_pipeline.operations.trail.stale_reports import refresh_outdated

    try:
        for day in refresh_outdated(context, trail):
            terminal.say(f"{day}: evidence of an earlier day arrived after its report, so it was rendered again.")
    except OrgreconError as error:  # an outdated report is not wrong
        terminal.say(f"outdated reports were not rendered again: {error}")
