"""The command as a person runs it: a process of its own, with nothing in the environment but what is given.

Every Postgres URL is given a password, and no process ever tells it.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from orgrecon_pipeline_tests.support.python_process import ORGRECON, run_python, start_python
from orgrecon_pipeline_tests.support.secret_canary import password_fragments, with_password

_OURS = ("ORGRECON", "DAGSTER", "DATABASE", "PG")
_RUN_IN_TURN = "from orgrecon_pipeline_tests.support.cli.in_turn import run_all; run_all()"


def start(
    place: Path, *arguments: str, program: str = "", fresh: bool = False, **environ: str
) -> subprocess.Popen[str]:
    """Start the command in a directory; ``program`` is run before it, in its process.

    With ``fresh``, Python itself starts too; otherwise the process is forked with the modules loaded.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return start_python(f"{program}\n{ORGRECON}", *arguments, fresh=fresh, cwd=place,
                        env={**clean, **with_password(environ)}, stdin=subprocess.DEVNULL)


def run(
    place: Path, *arguments: str, program: str = "", fresh: bool = False, **environ: str
) -> tuple[int, str, str]:
    """Run the command; return its exit code, standard output and standard error."""
    process = start(place, *arguments, program=program, fresh=fresh, **environ)
    out, err = process.communicate(timeout=120)
    assert password_fragments(out, err) == []
    return process.returncode, out, err


def run_in_turn(place: Path, cases: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Many runs in one process, as loading takes most of the time of one; see :mod:`cli_in_turn` for a case.

    Returns exit code (``code``), ``out`` and ``err`` of each.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    asked = "".join(json.dumps({**case, "environ": with_password(case["environ"])}) + "\n" for case in cases)
    done = run_python(_RUN_IN_TURN, input=asked, timeout=300, cwd=place, env=clean)
    assert done.returncode == 0, done.stderr
    assert password_fragments(done.stdout, done.stderr) == [], done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
