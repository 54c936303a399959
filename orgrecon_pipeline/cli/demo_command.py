"""The command ``demo``."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
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
    # Before the demo changes this process's environment: the shell that the command is pasted into keeps its own.
    program = " ".join([*_variables_to_set(files.path, files.environ), program_as_started()])
    textfile = files.path / "dualwrite.prom"
    with (
        EmbeddedServer(files.path / "postgres") as server,
        published_metrics(list(default_mapping().entities), port=metrics_port, textfile=textfile) as (counters, url),
        company_in_use(files, server, counters, terminal.say) as company,
    ):
        terminal.say(f"the application's metrics are at {url}, and in {textfile} afterwards")
        today = run_history(files, company, observe, terminal.say, clean=clean)
        run = observe(today)
        record = read_report(run.path, default_mapping().identity(environment=""))
        text_views.show_report(record, run.path, program=program)
        terminal.show_lines([
            f"all reports: {files.reports}", f"ledger: {files.path / 'ledger.db'}",
            f"mapping: {files.path / 'orgrecon.yaml'}"])
        if ui:
            serve_ui(files, port, terminal.say)


def program_as_started() -> str:
    """Return how a shell in the current directory starts this program again, quoted."""
    started = os.path.abspath(sys.argv[0])
    if not os.access(started, os.X_OK):  # python -m
        return f"{_from_here(sys.executable)} -m orgrecon_pipeline"
    on_path = shutil.which("orgrecon")
    return "orgrecon" if on_path and os.path.samefile(on_path, started) else _from_here(started)


def _from_here(program: str) -> str:
    """Return the path of a program, relative if it is below the current directory, quoted for a shell."""
    path = _relative(Path(program))
    return shlex.quote(str(path) if len(path.parts) > 1 else f"./{path}")


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _variables_to_set(path: Path, environ: Mapping[str, str]) -> list[str]:
    """Return the assignments with which a command reads the ledger of the demo in ``path``.

    Args:
        environ: the environment of the demo. A variable that has the same value in this process is left out.
    """
    values = {"ORGRECON_LEDGER_URL": f"sqlite:///{_relative(path / 'ledger.db')}",
              "ORGRECON_MAPPING": str(_relative(path / "orgrecon.yaml")), "ORGRECON_ENVIRONMENT": ""}
    return [f"{name}={shlex.quote(value)}" for name, value in values.items()
            if os.environ.get(name, "") != environ[name]]
