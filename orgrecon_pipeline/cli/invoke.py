"""Running a command: what it raises becomes one line on standard error, and an exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

import typer

from orgrecon_pipeline.cli import terminal
from orgrecon_pipeline.domain.errors import OrgreconError

_USAGE = 2
_BUG = 3


def exit_code(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run a command, and say what is wrong if something is.

    Raises:
        KeyboardInterrupt: when it is interrupted; with words where not just nothing was decided.
        BrokenPipeError: when nobody reads what is printed.
    """
    debug = "--debug" in arguments
    for stream in (sys.stdout, sys.stderr):
        # What a terminal of another encoding cannot show must not make a failure of a verdict.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        return _invoke(app, [a for a in arguments if a != "--debug"])
    except BrokenPipeError:
        raise
    except OrgreconError as error:
        if debug:
            _show_traceback(error)
        terminal.say(str(error))
        return error.exit_code
    except Exception as error:  # nobody but a developer wants the traceback
        usage = getattr(error, "format_message", None)  # Typer's usage errors: their class is not public
        if usage is not None:
            terminal.say(f"{usage()} (see orgrecon --help)" if usage() else "name a command: see orgrecon --help")
            return _USAGE
        if debug:
            _show_traceback(error)
        terminal.say(f"internal error ({type(error).__name__}): run it again with --debug.")
        return _BUG


def _invoke(app: typer.Typer, arguments: list[str]) -> int:
    # Typer's own runner has handlers before ours: of an interrupt it says nothing, and a closed pipe becomes exit 1,
    # which is a verdict.
    try:
        with typer.main.get_command(app).make_context("orgrecon", arguments) as context:
            code: int | None = context.command.invoke(context)
    except typer.Exit as ended:
        code = ended.exit_code
    except SystemExit:  # by Rich, and nobody else, when nobody reads what it prints
        raise BrokenPipeError from None
    if sys.stdout is not None:
        sys.stdout.flush()  # not when the interpreter ends, where nothing can be done about it
    return code or 0


def _show_traceback(error: BaseException) -> None:
    from orgrecon_pipeline.operations.redact import redacted_traceback

    sys.stderr.write(redacted_traceback(error, os.environ))
