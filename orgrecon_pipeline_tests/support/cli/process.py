"""The command as a person runs it: a process of its own, with nothing in the environment but what is given.

Every Postgres URL is given a password, and no process ever tells it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from orgrecon_pipeline_tests.support.secret_canary import told_in, with_password

_OURS = ("ORGRECON", "DAGSTER", "DATABASE", "PG")
_MAIN = "from orgrecon_pipeline.__main__ import main; main()"


def start(place: Path, *arguments: str, program: str = "", **environ: str) -> subprocess.Popen[str]:
    """Start it in a directory; ``program`` is run before it, in its process."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return subprocess.Popen(
        [sys.executable, "-c", f"{program}\n{_MAIN}", *arguments], cwd=place, text=True,
        env={**clean, **with_password(environ)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run(place: Path, *arguments: str, program: str = "", **environ: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    process = start(place, *arguments, program=program, **environ)
    out, err = process.communicate(timeout=120)
    assert told_in(out, err) == []
    return process.returncode, out, err


def run_in_turn(place: Path, cases: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Many runs in one process, as loading takes most of the time of one; see :mod:`cli_in_turn` for a case.

    Returns exit code (``code``), ``out`` and ``err`` of each.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    asked = "".join(json.dumps({**case, "environ": with_password(case["environ"])}) + "\n" for case in cases)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("in_turn.py"))], cwd=place, env=clean, input=asked, text=True,
        capture_output=True, timeout=300, check=True)
    assert told_in(done.stdout, done.stderr) == [], done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
