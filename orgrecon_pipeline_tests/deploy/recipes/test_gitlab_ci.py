"""The GitLab job is valid, and its commands fail unless the gate of the committed reports is OPEN."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from orgrecon_pipeline_tests.support.deploy.gate_world import GateWorld
from orgrecon_pipeline_tests.support.deploy.tools import ROOT, from_venv, run
from orgrecon_pipeline_tests.support.python_process import write_orgrecon_program

FILE = ROOT / "deploy/recipes/gitlab-ci.yml"
[JOB] = yaml.safe_load(FILE.read_text()).values()


def test_job_is_valid_for_the_published_schema() -> None:
    run(from_venv("check-jsonschema"), "--builtin-schema", "vendor.gitlab-ci", str(FILE))


def script(world: GateWorld, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the commands of the job as GitLab does: in one shell that stops at the first error."""
    write_orgrecon_program(folder / "orgrecon")
    environ = {name: value for name, value in world.environ.items() if not name.startswith("ORGRECON_")}
    return subprocess.run(
        ["sh", "-e", "-c", "\n".join(JOB["script"])], cwd=folder, capture_output=True, text=True, check=False,
        env={**environ, **JOB["variables"], "REPORTS": str(world.reports), **variables,
             "PATH": f"{folder}:{environ['PATH']}"})


def test_job_passes_with_an_open_gate(clean_world: GateWorld, tmp_path: Path) -> None:
    done = script(clean_world, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "GATE OPEN" in done.stdout


def test_job_fails_with_a_closed_gate(drifting_world: GateWorld, tmp_path: Path) -> None:
    done = script(drifting_world, tmp_path)
    assert done.returncode == 1
    assert "GATE CLOSED" in done.stdout


def test_job_fails_for_the_reports_of_another_environment(clean_world: GateWorld, tmp_path: Path) -> None:
    done = script(clean_world, tmp_path, ORGRECON_ENVIRONMENT="staging")
    assert done.returncode != 0
    assert "prod" in done.stderr
    assert "GATE OPEN" not in done.stdout


@pytest.mark.parametrize("damage", ["edit", "remove"])
def test_job_fails_if_a_report_was_edited_or_removed(damage: str, tmp_path: Path) -> None:
    world = GateWorld(tmp_path).store()
    report = sorted(world.reports.glob("2*.md"))[3]
    if damage == "edit":
        report.write_text(report.read_text().replace("PASS", "FAIL", 1))
    else:
        report.unlink()
    assert script(world, tmp_path).returncode == 1
