"""The command ``demo``."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from orgrecon_pipeline.cli.output import terminal, text_views
from orgrecon_pipeline.cli.report_commands import run_day


def demo(
    clean: Annotated[bool, typer.Option("--clean", help="Inject no drift, so that the gate opens.")] = False,
    ui: Annotated[bool, typer.Option("--ui", help="Serve the Dagster UI afterwards.")] = False,
    directory: Annotated[Path | None, typer.Option(
        metavar="DIR", help="Directory of the demo (default: ./.orgrecon/demo). Emptied at each run.")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, metavar="PORT", help="Port of the UI.")] = 3000,
    metrics_port: Annotated[int, typer.Option(
        min=0, max=65535, metavar="PORT", help="Port of the application's metrics; 0 chooses a free one.")] = 0,
) -> None:
    """Start an embedded Postgres with a company in use, simulate six days, compare today, and show the report."""
    from orgrecon_pipeline.config.mapping_file import default_mapping
    from orgrecon_pipeline.config.settings import read_settings
    from orgrecon_pipeline.demo.application import published_metrics
    from orgrecon_pipeline.demo.scenario import company_in_use, prepare_directory, run_history, serve_ui
    from orgrecon_pipeline.demo.server import EmbeddedServer
    from orgrecon_pipeline.operations.day_run import DayRequest, DayRun
    from orgrecon_pipeline.report.read import read_report

    def observe(day: date) -> DayRun:
        return run_day(read_settings(files.environ), day, DayRequest())

    files = prepare_directory(directory, with_ui=ui)
    textfile = files.path / "dualwrite.prom"
    with (
        EmbeddedServer(files.path / "postgres") as server,
        published_metrics(list(default_mapping().entities), port=metrics_port, textfile=textfile) as (counters, url),
        company_in_use(files, server, counters, terminal.say) as company,
    ):
        terminal.say(f"the application's metrics are at {url}, and in {textfile} afterwards")
        today = run_history(files, company, observe, terminal.say, clean=clean)
        run = observe(today)
        text_views.show_report(read_report(run.path, default_mapping().identity(environment="")), run.path)
        terminal.show_lines([
            f"all reports: {files.reports}", f"ledger: {files.path / 'ledger.db'}",
            f"mapping: {files.path / 'orgrecon.yaml'}"])
        if ui:
            serve_ui(files, port, terminal.say)
