"""The ``orgrecon`` command line: the Typer application and its commands, in the order of ``--help``.

Commands import Dagster, pandas and Alembic only when they need them, so that ``gate``, ``verify`` and ``--help``
start fast.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from orgrecon_pipeline.cli.database_commands import accept_source, acknowledge, doctor, repair_sql
from orgrecon_pipeline.cli.demo_command import demo
from orgrecon_pipeline.cli.invoke import exit_code
from orgrecon_pipeline.cli.metrics_commands import exporter, metrics
from orgrecon_pipeline.cli.report_commands import gate, render, report
from orgrecon_pipeline.cli.trail_commands import import_, sync, verify
from orgrecon_pipeline.version import __version__

app = typer.Typer(
    name="orgrecon", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Daily evidence that Org Model v2.3 holds exactly what the legacy organisation model holds.",
    epilog="Exit codes: 0 success · 1 FAIL, CLOSED or unsound · 2 usage, mapping or configuration error · "
           "3 INCONCLUSIVE · 4 already running.",
)
_COMMANDS: dict[str, Callable[..., int | None]] = {
    "report": report, "gate": gate, "verify": verify, "sync": sync, "import": import_, "render": render,
    "acknowledge": acknowledge, "accept-source": accept_source, "doctor": doctor, "repair-sql": repair_sql,
    "exporter": exporter, "metrics": metrics, "demo": demo,
}
for _name, _command in _COMMANDS.items():
    app.command(_name)(_command)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code. Every error is one line on stderr.

    Raises:
        KeyboardInterrupt: if the command is interrupted.
        BrokenPipeError: if the reader of the output is gone.
    """
    sys.exit(exit_code(app, sys.argv[1:] if argv is None else argv))


def _print_version(requested: bool) -> None:
    if requested:
        print(__version__)  # noqa: T201
        raise typer.Exit


@app.callback(help=app.info.help)
def _common(
    version: Annotated[bool, typer.Option(
        "--version", is_eager=True, callback=_print_version, help="Print the version and exit."
    )] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks. Allowed anywhere.")] = False,
) -> None:
    """Declare the options of every command; the code that acts on them is elsewhere."""
