"""Locations of the external tools that the deployment tests use.

Tools from PyPI are development dependencies. promtool comes from the operating system, helm and kubectl from
``deploy/ci/fetch_tools.sh``. A missing tool fails the test if ``CI`` is set; otherwise it skips the test with a hint.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
# The overlay with a company's own values, which docs/runbooks/install.md creates. Tests do not read it.
COMPANY = DEPLOY / "kustomize/company"


def promtool() -> str:
    """Return the path of promtool; skip or fail the test if it is missing."""
    return _which("promtool", "install Debian's package prometheus")


def from_venv(name: str) -> str:
    """Return the path of a tool that pip installs next to this interpreter."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else _which(name, "install the development dependencies")


@functools.cache
def cluster_tool(name: str) -> str:
    """Return the path of ``helm`` or ``kubectl``: the pinned one from fetch_tools.sh, else the one on the PATH."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orgrecon-tools"
    fetched = subprocess.run(
        ["bash", str(ROOT / "deploy/ci/fetch_tools.sh"), str(cache)],
        env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True, check=False,
    )
    if fetched.returncode == 0:
        return str(cache / "bin" / name)
    return _which(name, f"deploy/ci/fetch_tools.sh failed: {fetched.stderr[-300:]}")


def installed(name: str) -> str:
    """Return the path of a program of the operating system; skip or fail the test if it is missing."""
    return _which(name, f"install Debian's package {name}")


def _which(name: str, fix: str) -> str:
    path = shutil.which(name)
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{name} is not installed: {fix}")
    return path


def run(*command: str, cwd: Path = ROOT, stdin: str | None = None) -> str:
    """Run a command that must succeed and return its standard output; on failure show all output."""
    done = subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def documents(text: str) -> list[dict[str, Any]]:
    """Return the documents of a YAML text that are not empty."""
    return [document for document in yaml.safe_load_all(text) if document]


def kustomized(overlay: str) -> list[dict[str, Any]]:
    """Return the manifests of an overlay in ``deploy/kustomize``, as kubectl renders them."""
    return documents(run(cluster_tool("kubectl"), "kustomize", str(DEPLOY / "kustomize" / overlay)))


def chart(*options: str) -> list[dict[str, Any]]:
    """Return the pods of Dagster's chart with our values: of a stand-in, because the chart is not available offline."""
    stand_in = ROOT / "orgrecon_pipeline_tests/support/deploy/chart"
    return documents(run(cluster_tool("helm"), "template", "dagster", str(stand_in), "--values",
                         str(DEPLOY / "helm/values.yaml"), *options))


def own_venv(package: str) -> Path:
    """Return the bin directory of a cached virtual environment that contains one pinned package.

    For tools whose dependencies conflict with ours.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orgrecon-tools"
    venv = cache / package.replace("==", "-")
    ready = venv / "ready"
    if not ready.exists():
        run(sys.executable, "-m", "venv", "--clear", str(venv))
        run(str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package)
        ready.touch()
    return venv / "bin"


def uv() -> str:
    """Return the path of uv: on the PATH, next to this interpreter, or the version that the image uses."""
    installed = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if installed:
        return installed
    [pinned] = re.findall(r"uv==[\d.]+", (ROOT / "deploy/Dockerfile").read_text())
    return str(own_venv(pinned) / "uv")
