"""Where the tools are that judge the files of deployment.

Tools that come from PyPI are dependencies of the development group. promtool comes from the operating system, helm
and kubectl (for kustomize) from a script of ours. On the machine that decides (``CI`` set), a tool that is missing is
a failure; on a laptop it is a skipped test that says what to install.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def promtool() -> str:
    """promtool, or a skipped test."""
    return _found("promtool", "install Debian's package prometheus")


def from_venv(name: str) -> str:
    """A tool that pip installs beside this interpreter."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else _found(name, "install the development dependencies")


@functools.cache
def cluster_tool(name: str) -> str:
    """``helm`` or ``kubectl``: the one on the PATH, or else the pinned one that deploy/ci/fetch_tools.sh fetches."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orgrecon-tools"
    fetched = subprocess.run(
        ["bash", str(ROOT / "deploy/ci/fetch_tools.sh"), str(cache)],
        env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True, check=False,
    )
    if fetched.returncode == 0:
        return str(cache / "bin" / name)
    return _found(name, f"deploy/ci/fetch_tools.sh failed: {fetched.stderr[-300:]}")


def _found(name: str, fix: str) -> str:
    path = shutil.which(name)
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{name} is not here: {fix}")
    return path


def run(*command: str, cwd: Path = ROOT, stdin: str | None = None) -> str:
    """Standard output of a command that must end well; its whole output is shown when it does not."""
    done = subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def own_venv(package: str) -> Path:
    """The bin directory of a virtual environment with one pinned package, made once and kept in the cache.

    For a tool with so many dependencies of its own that ours would have to bend to them.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orgrecon-tools"
    place = cache / package.replace("==", "-")
    ready = place / "ready"
    if not ready.exists():
        run(sys.executable, "-m", "venv", "--clear", str(place))
        run(str(place / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package)
        ready.touch()
    return place / "bin"


def uv() -> str:
    """uv: the one on the PATH or beside this interpreter, or else the one that the image is built with."""
    found = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if found:
        return found
    [pinned] = re.findall(r"uv==[\d.]+", (ROOT / "deploy/Dockerfile").read_text())
    return str(own_venv(pinned) / "uv")
