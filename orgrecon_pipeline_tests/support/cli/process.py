"""The command in a process of its own, in an environment that holds only what a test sets.

A password is added to every Postgres URL, and must not appear in the output. Documents are validated by their schemas.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from orgrecon_pipeline_tests.support.python_process import ORGRECON, run_python, start_python
from orgrecon_pipeline_tests.support.schemas import require_valid_output
from orgrecon_pipeline_tests.support.secret_canary import password_fragments, with_password

_VARIABLES = ("ORGRECON", "DAGSTER", "DATABASE", "PG")
_RUN_CASES = "from orgrecon_pipeline_tests.support.cli.cases import run_all; run_all()"


class CommandResult(NamedTuple):
    """Exit code, standard output and standard error of a command."""

    code: Any
    out: str
    err: str


def start(
    directory: Path, *arguments: str, program: str = "", fresh: bool = False, **environ: str
) -> subprocess.Popen[str]:
    """Start the command.

    Args:
        directory: its working directory.
        arguments: its arguments.
        program: Python code that runs before it in the same process.
        fresh: start a new interpreter, instead of a fork that has the modules loaded.
        environ: its environment variables.
    """
    return start_python(f"{program}\n{ORGRECON}", *arguments, fresh=fresh, cwd=directory,
                        env={**_clean_environ(), **with_password(environ)}, stdin=subprocess.DEVNULL)


def run(directory: Path, *arguments: str, program: str = "", fresh: bool = False, **environ: str) -> CommandResult:
    """Run the command to its end; see :func:`start`."""
    process = start(directory, *arguments, program=program, fresh=fresh, **environ)
    out, err = process.communicate(timeout=120)
    assert password_fragments(out, err) == []
    require_valid_output(arguments, out, directory)
    return CommandResult(process.returncode, out, err)


def run_cases(directory: Path, cases: Sequence[dict[str, Any]]) -> list[CommandResult]:
    """Run several commands in one process, because imports take most of the time of one.

    A case has ``arguments`` and ``environ``. ``raises_in`` names a function that raises an unexpected error with the
    value of the variable ``leaks`` in it; ``disconnects_in`` names a function that terminates the database sessions.
    """
    lines = "".join(json.dumps({**case, "environ": with_password(case["environ"])}) + "\n" for case in cases)
    process = run_python(_RUN_CASES, input=lines, timeout=300, cwd=directory, env=_clean_environ())
    assert process.returncode == 0, process.stderr
    assert password_fragments(process.stdout, process.stderr) == [], process.stdout + process.stderr
    results = [CommandResult(**json.loads(line)) for line in process.stdout.splitlines()]
    for case, result in zip(cases, results, strict=True):
        require_valid_output(case["arguments"], result.out, directory)
    return results


def _clean_environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_VARIABLES)}
