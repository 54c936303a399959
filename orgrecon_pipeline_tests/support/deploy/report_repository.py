"""A git remote whose reports arrive through the daily script and its pull request, with a stand-in for gh."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orgrecon_pipeline_tests.support.deploy.tools import ROOT, run

REPORTS = "docs/runbooks/org-v23-reconciliation-reports"
BRANCH = "orgrecon/reports"
SCRIPT = ROOT / "deploy/ci/open_report_pr.sh"

# Stand-in for gh. A pull request is a file whose name is its number; it holds the state, and the commit unless it is
# open. Like GitHub, it permits one open pull request for a branch, which must exist.
_GH = f"""#!{sys.executable} -IS
import os, pathlib, subprocess, sys

folder, command = pathlib.Path(os.environ["GH_STATE"]), sys.argv[2]
if os.environ.get("GH_FAILS") == command:
    sys.exit("HTTP 502")
assert sys.argv[1] == "pr" and sys.argv[sys.argv.index("--head") + 1] == "{BRANCH}", sys.argv
head = subprocess.run(["git", "ls-remote", "origin", "refs/heads/{BRANCH}"], capture_output=True, text=True).stdout[:40]
known = [file.read_text().split() for file in sorted(folder.iterdir())]
if command == "list":
    for state, *commit in known:
        print(state, *commit or [head])
elif command == "create":
    if not head or ["OPEN"] in known:
        sys.exit("a pull request already exists" if head else "no such branch")
    (folder / f"{{len(known) + 1:03d}}").write_text("OPEN")
else:
    sys.exit(9)
"""


@dataclass
class ReportRepository:
    """A remote with a main branch, a clone of a maintainer, and a new clone for every run of the workflow."""

    folder: Path
    runs: int = 0

    @classmethod
    def create(cls, folder: Path) -> ReportRepository:
        """Create the remote, with an empty trail on its main branch."""
        repository = cls(folder)
        (folder / "prs").mkdir()
        (folder / "bin").mkdir()
        repository.add_program("gh", _GH)
        run("git", "init", "-q", "--bare", "-b", "main", str(folder / "remote.git"))
        repository._clone("maintainer")
        repository.commit({f"{REPORTS}/README.md": "the trail\n"})
        return repository

    def add_program(self, name: str, text: str) -> None:
        """Add a program to the PATH of the workflow."""
        program = self.folder / "bin" / name
        program.write_text(text)
        program.chmod(0o755)

    def git(self, *arguments: str, cwd: str = "remote.git") -> str:
        """Run git in a directory of the folder, by default in the remote."""
        return run("git", *arguments, cwd=self.folder / cwd).strip()

    def start(self, day: str, **environ: str) -> subprocess.Popen[str]:
        """Start the script in a new clone."""
        self.runs += 1
        clone = self._clone(f"clone{self.runs}")
        return subprocess.Popen(
            ["bash", str(SCRIPT)], cwd=clone, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "TODAY": day,
                 "GH_STATE": str(self.folder / "prs"), **environ})

    def workflow(self, day: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run the script in a new clone to its end."""
        with self.start(day, **environ) as process:
            out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def commit(self, files: dict[str, str], message: str = "Change files") -> None:
        """Commit files to the main branch."""
        for name, text in files.items():
            path = self.folder / "maintainer" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", ".", cwd="maintainer")
        self.git("commit", "-qm", message, cwd="maintainer")
        self.git("push", "-q", "origin", "HEAD:main", cwd="maintainer")

    def push_to_branch(self, files: dict[str, str]) -> None:
        """Commit files to the rolling branch, as somebody with access to the repository can."""
        self.git("switch", "-q", "--force-create", BRANCH, "origin/main", cwd="maintainer")
        for name, text in files.items():
            (self.folder / "maintainer" / name).write_text(text)
        self.git("add", ".", cwd="maintainer")
        self.git("commit", "-qm", "Change the branch", cwd="maintainer")
        self.git("push", "-q", "--force", "origin", f"HEAD:{BRANCH}", cwd="maintainer")
        self.git("switch", "-q", "--detach", "origin/main", cwd="maintainer")

    def update(self) -> Path:
        """Bring the maintainer's clone up to date, and return its directory of reports."""
        self.git("fetch", "-q", "--prune", "origin", cwd="maintainer")
        self.git("reset", "-q", "--hard", "origin/main", cwd="maintainer")
        return self.folder / "maintainer" / REPORTS

    def merge(self, how: Literal["merge", "squash"] = "merge") -> bool:
        """Merge the open pull request; return whether there is one that has no conflict."""
        pull_request = self._open_pull_request()
        if pull_request is None:
            return False
        self.update()
        arguments = ["--squash"] if how == "squash" else ["--no-ff", "--no-commit"]
        merged = subprocess.run(["git", "merge", "-q", *arguments, f"origin/{BRANCH}"],
                                cwd=self.folder / "maintainer", capture_output=True, check=False)
        if merged.returncode:
            self.update()
            return False
        self.git("commit", "-qm", "Merge the reports", cwd="maintainer")
        self.git("push", "-q", "origin", "HEAD:main", cwd="maintainer")
        pull_request.write_text(f"MERGED {self.head}")
        return True

    def close(self) -> None:
        """Close the open pull request, if there is one."""
        if pull_request := self._open_pull_request():
            pull_request.write_text(f"CLOSED {self.head}")

    def delete_branch(self) -> None:
        """Delete the rolling branch."""
        self.git("update-ref", "-d", f"refs/heads/{BRANCH}")

    @property
    def head(self) -> str:
        """The commit of the rolling branch; empty if there is none."""
        return self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{BRANCH}")

    def pull_requests(self) -> list[str]:
        """Return the states of all pull requests, oldest first."""
        return [file.read_text().split()[0] for file in sorted((self.folder / "prs").iterdir())]

    def days(self, branch: str) -> list[str]:
        """Return the days of the reports on a branch."""
        names = self.git("ls-tree", "--name-only", f"{branch}:{REPORTS}").split()
        return [name.removesuffix(".md") for name in names if name.startswith("2") and name.endswith(".md")]

    def _open_pull_request(self) -> Path | None:
        return next((file for file in (self.folder / "prs").iterdir() if file.read_text() == "OPEN"), None)

    def _clone(self, name: str) -> Path:
        self.git("clone", "-q", "-c", "user.name=bot", "-c", "user.email=bot@example.org", "remote.git", name, cwd=".")
        return self.folder / name
