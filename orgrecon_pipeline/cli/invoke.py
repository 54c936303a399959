"""Run a command of the command line: turn exceptions into one line on stderr and an exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

import typer

from orgrecon_pipeline.cli import terminal
from orgrecon_pipeline.domain.errors import OrgreconError

_USAGE_ERROR = 2
_INTERNAL_ERROR = 3


def exit_code(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run a command and return its exit code. Print every error as one line, with a traceback under ``--debug``.

    Raises:
        KeyboardInterrupt: if the command is interrupted; its message says what was stored, if anything was.
        BrokenPipeError: if the reader of the output is gone.
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal with another encoding must not turn a verdict into an error.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        return _invoke(app, [argument for argument in arguments if argument != "--debug"])
    except BrokenPipeError:
        raise
    except Exception as error:
        # Usage errors are recognised by their method, because Typer does not export their class.
        if (usage := getattr(error, "format_message", None)) is not None:
            terminal.say(f"{usage()} (see orgrecon --help)" if usage() else "name a command: see orgrecon --help")
            return _USAGE_ERROR
        if "--debug" in arguments:
            from orgrecon_pipeline.operations.redact import redacted_traceback

            sys.stderr.write(redacted_traceback(error, os.environ))
        if isinstance(error, OrgreconError):
            terminal.say(str(error))
            return error.exit_code
        terminal.say(f"internal error ({type(error).__name__}): run the command again with --debug.")
        return _INTERNAL_ERROR


def _invoke(app: typer.Typer, arguments: list[str]) -> int:
    # Typer's own runner prints nothing about an interrupt, and exits with 1, a verdict, if a pipe is closed.
    try:
        with typer.main.get_command(app).make_context("orgrecon", arguments) as context:
            code: int | None = context.command.invoke(context)
    except typer.Exit as ended:
        code = ended.exit_code
    except SystemExit:  # Only Rich raises it, if the reader of the output is gone.
        raise BrokenPipeError from None
    if sys.stdout is not None:
        sys.stdout.flush()  # An error must occur here, not when the interpreter exits and it cannot be handled.
    return code or 0
