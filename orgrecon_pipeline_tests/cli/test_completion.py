"""Shells complete commands, options and their values, and no option has a negative that means nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
import typer

from orgrecon_pipeline.cli.app import app
from orgrecon_pipeline_tests.support.deploy.tools import installed

COMMANDS: dict[str, click.Command] = typer.main.get_command(app).commands  # type: ignore[attr-defined]

#: A program for each shell that installs the completion for this shell, and prints what completes ``orgrecon $1 $2``.
PROGRAMS = {
    "bash": """eval "$(orgrecon --show-completion)"
COMP_WORDS=(orgrecon "$@"); COMP_CWORD=$#
"$(complete -p orgrecon | sed 's/.* -F \\([^ ]*\\) .*/\\1/')" orgrecon
printf '%s\\n' "${COMPREPLY[@]}" """,
    "zsh": """compdef() { }; _arguments() { print -r -- "$@" }; _files() { }
eval "$(orgrecon --show-completion)"
words=(orgrecon "$@"); CURRENT=${#words}
_orgrecon_completion""",
    "fish": """orgrecon --show-completion | source
complete --do-complete "orgrecon $argv" """,
}


def complete(shell: str, home: Path, *words: str) -> str:
    """Return what a shell proposes for the last of the words."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("_")}
    environ |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(home)}
    name = "--" if shell == "fish" else shell
    done = subprocess.run([installed(shell), "-c", PROGRAMS[shell], name, *words], env=environ, capture_output=True,
                          text=True, check=False)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(("shell", "words", "proposed", "not_proposed"), [
    ("bash", ("ver",), "verify", "gate"),
    ("bash", ("schema", ""), "mapping", "--help"),
    *((shell, ("report", "--bas"), "--baseline", "--no-baseline") for shell in PROGRAMS),
])
def test_shell_completes(
    shell: str, words: tuple[str, ...], proposed: str, not_proposed: str, tmp_path: Path
) -> None:
    proposals = complete(shell, tmp_path, *words)
    assert proposed in proposals
    assert not_proposed not in proposals


def test_show_completion_ends_with_0(tmp_path: Path) -> None:
    done = subprocess.run(
        [installed("bash"), "-c", 'orgrecon --show-completion; echo "exit $?"'], capture_output=True, text=True,
        check=True, env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"})
    assert done.stdout.endswith("exit 0\n")
    assert done.stderr == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_flags_have_no_negatives(name: str) -> None:
    """Every flag is off by default, so a ``--no-…`` would mean nothing."""
    assert [parameter.secondary_opts for parameter in COMMANDS[name].params if parameter.secondary_opts] == []
