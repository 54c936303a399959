"""The environment of the image, built without a container engine by the commands of the Dockerfile."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from orgrecon_pipeline_tests.support.deploy.tools import ROOT, uv

DOCKERFILE = ROOT / "deploy/Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile as (instruction, arguments), without comments and with continued lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE)
    text = text.replace("\\\n", " ")
    return [(word, re.sub(r"\s+", " ", rest)) for word, _, rest in
            (line.partition(" ") for line in text.splitlines() if line.strip())]


def last_stage() -> list[tuple[str, str]]:
    """Return the instructions of the stage that becomes the image."""
    all_instructions = instructions()
    start = max(i for i, (word, _) in enumerate(all_instructions) if word == "FROM")
    return all_instructions[start:]


def build_environment(prefix: Path) -> Path:
    """Run the commands of the build stage in an empty directory and return the ``bin`` directory of the environment."""
    environ = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_LINK_MODE": "copy", "EXTRA": "",
               "UV_PYTHON": sys.executable}
    environ.pop("VIRTUAL_ENV", None)
    for word, rest in instructions()[:len(instructions()) - len(last_stage())]:
        if word == "COPY":
            *names, _ = rest.split()
            for name in names:
                if (ROOT / name).is_dir():
                    shutil.copytree(ROOT / name, prefix / name, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(ROOT / name, prefix)
        elif word == "RUN" and rest.startswith("uv "):
            command = f"{shlex.quote(uv())}{rest.removeprefix('uv')}"
            subprocess.run(["bash", "-c", command], cwd=prefix, env=environ, check=True, capture_output=True)
    shutil.rmtree(prefix / "orgrecon_pipeline")  # --no-editable: the environment must not need the sources
    return prefix / ".venv/bin"
