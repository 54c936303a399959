"""The ``orgrecon`` command line: the Typer application and its commands, in the order of ``--help``.

Commands import Dagster, pandas and Alembic only when they need them, so that ``gate``, ``verify`` and ``--help``
start fast.
"""

from __future__ import annotations

import copy
import errno
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, TypeGuard

import typer

from orgrecon_pipeline.cli.database_commands import (
    accept_ledger,
    accept_source,
    acknowledge,
    doctor,
    redact,
    repair_sql,
)
from orgrecon_pipeline.cli.demo_command import demo
from orgrecon_pipeline.cli.diff_command import diff
from orgrecon_pipeline.cli.drift_command import drift
from orgrecon_pipeline.cli.history_command import history
from orgrecon_pipeline.cli.init_command import init
from orgrecon_pipeline.cli.output import terminal
from orgrecon_pipeline.cli.report_commands import exporter, gate, metrics, render, report
from orgrecon_pipeline.cli.reproduce_command import reproduce
from orgrecon_pipeline.cli.schema_command import schema
from orgrecon_pipeline.cli.trail_commands import import_, sync, verify
from orgrecon_pipeline.domain.errors import OrgreconError
from orgrecon_pipeline.version import __version__

_USAGE_ERROR = 2
_INTERNAL_ERROR = 3
_COMPLETION_VARIABLE = "_ORGRECON_COMPLETE"  # set by the shell functions that --install-completion installs

app = typer.Typer(
    name="orgrecon", no_args_is_help=True, pretty_exceptions_enable=False,
    help="Daily evidence that the target of a migration holds exactly what its source holds.",
    epilog="Exit codes: 0 success: PASS, OPEN, sound, ready · 1 FAIL, CLOSED, not sound, not ready, conflict · "
           "2 usage, mapping or configuration error · 3 INCONCLUSIVE, ledger unavailable or internal error · "
           "4 already running: the day or another comparison of the identity.",
)
_COMMANDS: dict[str, Callable[..., int | None]] = {
    "report": report, "gate": gate, "history": history, "verify": verify, "sync": sync, "import": import_,
    "render": render, "acknowledge": acknowledge, "accept-source": accept_source, "accept-ledger": accept_ledger,
    "redact": redact,
    "init": init, "doctor": doctor, "drift": drift, "diff": diff, "reproduce": reproduce,
    "repair-sql": repair_sql, "exporter": exporter, "metrics": metrics, "schema": schema,
    "demo": demo,
}
for _name, _command in _COMMANDS.items():
    app.command(_name)(_command)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code. Print every error as one line, with a traceback under ``--debug``.

    Raises:
        KeyboardInterrupt: if the command is interrupted; its message says what was stored, if anything was.
        BrokenPipeError: if the reader of the output is gone.
    """
    if _COMPLETION_VARIABLE in os.environ:
        typer.main.get_command(app)(prog_name=app.info.name)  # prints what the shell can complete, and exits
    sys.exit(_exit_code(sys.argv[1:] if argv is None else argv))


def _exit_code(arguments: Sequence[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        # A terminal with another encoding must not turn a verdict into an error.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        return _invoke([argument for argument in arguments if argument != "--debug"])
    except BrokenPipeError:
        raise
    except Exception as error:
        # Usage errors are recognised by their method, because Typer does not export their class.
        if (usage := getattr(error, "format_message", None)) is not None:
            text = usage().replace("Value error, ", "").replace("Input should be", "must be").rstrip(".")  # as pydantic
            terminal.say(f"{text} (see orgrecon --help)" if text else "name a command: see orgrecon --help")
            return _USAGE_ERROR
        if _is_full(error):
            terminal.discard(1)
            terminal.say(f"cannot write the output ({error.strerror}): free some space, or write to another file.")
            return _INTERNAL_ERROR
        if "--debug" in arguments:
            from orgrecon_pipeline.operations.redact import redacted_traceback

            terminal.write_error(redacted_traceback(error, os.environ))
        if isinstance(error, OrgreconError):
            terminal.say(str(error))
            return error.exit_code
        if isinstance(error, OSError) and error.filename is not None:
            from orgrecon_pipeline.operations.redact import without_secrets

            file = terminal.printable(without_secrets(str(error.filename), os.environ))
            terminal.say(f"cannot use {file} ({error.strerror}): check its path, its permissions and its disk.")
            return _INTERNAL_ERROR
        terminal.say(f"internal error ({type(error).__name__}): run the command again with --debug.")
        return _INTERNAL_ERROR


def _is_full(error: Exception) -> TypeGuard[OSError]:
    """Return whether a standard stream cannot be written, as on a full disk. Errors of other files have a name."""
    return isinstance(error, OSError) and error.filename is None and error.errno in (
        errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def _invoke(arguments: list[str]) -> int:
    # Typer's own runner prints nothing about an interrupt, and exits with 1, a verdict, if a pipe is closed.
    try:
        with typer.main.get_command(_narrowed(arguments)).make_context("orgrecon", arguments) as context:
            code: int | None = context.command.invoke(context)
    except typer.Exit as ended:
        code = ended.exit_code
    except SystemExit as ended:
        if ended.code:  # Only Rich raises it, if the reader of the output is gone.
            raise BrokenPipeError from None
        code = 0  # --install-completion and --show-completion exit this way
    if sys.stdout is not None:
        sys.stdout.flush()  # An error must occur here, not when the interpreter exits and it cannot be handled.
    return code or 0


def _narrowed(arguments: list[str]) -> typer.Typer:
    """Return the application with only the command that is named first, because building all of them takes a moment."""
    named = [command for command in app.registered_commands if [command.name] == arguments[:1]]
    narrowed = copy.copy(app)
    narrowed.registered_commands = named or app.registered_commands
    return narrowed


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
