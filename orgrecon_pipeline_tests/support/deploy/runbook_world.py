"""Environment in which the commands of a runbook run: a checkout, real databases, and stand-ins for cluster tools."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import psycopg

from orgrecon_pipeline.demo import company
from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.deploy.tools import ROOT, cluster_tool, run
from orgrecon_pipeline_tests.support.environ import inherited_environ
from orgrecon_pipeline_tests.support.operations.postgres_server import find_program
from orgrecon_pipeline_tests.support.python_process import write_orgrecon_program

REPORTS = "docs/runbooks/org-v23-reconciliation-reports"

# Stand-in for kubectl: renders manifests with the real kubectl and simulates what needs a cluster.
_KUBECTL = """#!/usr/bin/env bash
set -eu
echo "kubectl $*" >> "$CALLS"
arguments=()
while (($#)); do
    case "$1" in -n|--namespace) shift ;; *) arguments+=("$1") ;; esac
    shift
done
set -- "${arguments[@]}"
case "$1 ${2:-}" in
    "apply -k") "$REAL_KUBECTL" kustomize "$3" > /dev/null ;;
    "apply -f") test -s "$3" ;;
    cp\\ *) cp -r "$CLUSTER_REPORTS" "$3" ;;
    "create secret"|"create job"|"delete pod"|"delete job"|"delete prometheusrule"|"rollout status") ;;
    "patch cronjob"|"patch secret") "$PYTHON" -c 'import json, sys; json.loads(sys.argv[1])' "$5" ;;
    "get secret") case "$*" in *LEDGER_URL*) echo "$ORGRECON_LEDGER_URL" ;; *) echo "$DATABASE_URL" ;; esac ;;
    wait\\ *|logs\\ *|get\\ *|describe\\ *) ;;
    *) echo "kubectl $1 ${2:-}: unexpected in a runbook" >&2; exit 9 ;;
esac
"""
_NAMED_FILES = """#!/usr/bin/env bash
set -eu
echo "$(basename "$0") $*" >> "$CALLS"
while (($#)); do case "$1" in -f|--values) shift; test -s "$1" ;; esac; shift; done
"""


@dataclass(frozen=True)
class Step:
    """A command of a runbook with its exit code and output."""

    command: str
    code: int
    output: str


@dataclass
class World:
    """Checkout with a git remote, a seeded company database, and a ledger on PostgreSQL."""

    folder: Path
    source: str
    ledger: str
    tenants: tuple[str, str] = ("", "")
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def checkout(self) -> Path:
        """Directory in which the commands run."""
        return self.folder / "checkout"

    def build(self) -> None:
        """Seed the company database and create the checkout."""
        with psycopg.connect(self.source, autocommit=True) as connection:
            internal, tenant, *_ = company.seed(connection, tenants=6, users_per_tenant=8).tenants
        self.tenants = internal, tenant
        for name in ("deploy", "docs/runbooks", "orgrecon_pipeline/config"):
            shutil.copytree(ROOT / name, self.checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        for report in (self.checkout / REPORTS).glob("2*.md"):
            report.unlink()
        mapping = (ROOT / "orgrecon_pipeline/config/default_mapping.yaml").read_text()
        # No writes happen during the comparison, so rechecks are not needed.
        quick = mapping.replace("settle_seconds: 5, rechecks: 3", "settle_seconds: 0, rechecks: 0")
        assert quick != mapping
        (self.checkout / "orgrecon.yaml").write_text(quick)
        run("git", "init", "-q", "--bare", "-b", "main", "remote.git", cwd=self.folder)
        for arguments in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-q", "-m", "seed"),
                          ("remote", "add", "origin", "../remote.git"), ("push", "-q", "-u", "origin", "main")):
            run("git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments, cwd=self.checkout)
        (self.folder / "ca.pem").write_text("the CA of the company\n")
        self._programs()
        self._set_environ()

    def copy(self, folder: Path, ledger: str) -> World:
        """Return a copy with the same company database, in another folder and with a copy of the ledger."""
        shutil.copytree(self.folder, folder, symlinks=True, dirs_exist_ok=True)
        copied = World(folder, self.source, ledger, self.tenants)
        copied._set_environ()
        return copied

    def _set_environ(self) -> None:
        clean, (internal, tenant) = inherited_environ(), self.tenants
        self.environ = {
            **clean, "PATH": f"{self.folder / 'bin'}:{clean['PATH']}", "DATABASE_URL": self.source,
            "ORGRECON_LEDGER_URL": self.ledger, "CALLS": str(self.folder / "calls"),
            "REAL_KUBECTL": cluster_tool("kubectl"), "PYTHON": sys.executable,
            "CLUSTER_REPORTS": str(self.folder / "cluster"),
            "INTERNAL_TENANT": internal, "TENANT": tenant, "DAGSTER_PG_PASSWORD": "x", "DAGSTER_PG_HOST": "pg.internal",
            "REPOSITORY_URL": "https://git.example.org/me/orgrecon/blob/main", "CA_FILE": str(self.folder / "ca.pem"),
            "IMAGE": "registry.internal/orgrecon", "TAG": "7",
            "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@example.org", "PYTHONPATH": str(ROOT),
        }

    def _programs(self) -> None:
        bin_dir = self.folder / "bin"
        bin_dir.mkdir()
        scripts = {
            # The package is installed already, so `python -m pip` does nothing.
            "python": f'#!/bin/sh\n[ "$1 $2" = "-m pip" ] && exit 0\nexec {sys.executable} "$@"\n',
            "kubectl": _KUBECTL, "helm": _NAMED_FILES, "docker": _NAMED_FILES, "gh": _NAMED_FILES,
        }
        write_orgrecon_program(bin_dir / "orgrecon")
        for name, text in scripts.items():
            (bin_dir / name).write_text(text)
            (bin_dir / name).chmod(0o755)
        for name in ("psql", "pg_dump", "pg_restore"):
            (bin_dir / name).symlink_to(find_program(name))

    def follow(self, commands: Iterable[str]) -> list[Step]:
        """Run the commands in order, each in a shell in the checkout; return one step per command."""
        steps = []
        for command in commands:
            done = subprocess.run(
                ["bash", "-c", command], cwd=self.checkout, env=self.environ, capture_output=True, text=True,
                check=False,
            )
            steps.append(Step(command, done.returncode, done.stdout + done.stderr))
        return steps

    def calls(self) -> list[str]:
        """Return the command lines that the stand-ins received."""
        log = self.folder / "calls"
        return log.read_text().splitlines() if log.exists() else []

    def live_week(self) -> None:
        """Add six earlier live days with the evidence of a trial run, and observe today."""
        trial = f"sqlite:///{self.folder / 'trial.db'}"
        [observed] = self.follow([f"ORGRECON_LEDGER_URL={trial} orgrecon report --output-dir {self.folder / 'trial'}"])
        assert observed.code == 0, observed.output
        trial_ledger, ledger = open_ledger(trial), open_ledger(self.ledger)
        [real] = trial_ledger.observations(trial_ledger.days()[-1])
        assert real.observed_at is not None
        appeared = [CoverageEvent(subject, name, CoverageChange.APPEARED)
                    for subject in CoverageSubject for name in trial_ledger.known_names(subject)]
        for back in range(6, 0, -1):
            compared = dict(real.compared)
            if back < 6:
                del compared["first_observation"]
            earlier = {"day": real.day - timedelta(days=back), "observed_at": real.observed_at - timedelta(days=back)}
            ledger.append(real.model_copy(
                update={**earlier, "compared": compared, "id": f"{real.id[:14]}{back:02}"}), (), (),
                appeared if back == 6 else ())
        steps = self.follow([
            f"orgrecon report --output-dir {REPORTS}",
            f"orgrecon render {real.day - timedelta(days=6)} {real.day} --output-dir {REPORTS}"])
        assert [step.code for step in steps] == [0, 0], steps


def commands(page: Path, section: str = "") -> list[str]:
    """Return the commands in the bash blocks of a page, or of one of its sections, with continued lines joined."""
    text = page.read_text()
    if section:
        text = re.split(rf"^#+ {re.escape(section)}$", text, flags=re.MULTILINE)[1]
        text = re.split(r"^#+ ", text, maxsplit=1, flags=re.MULTILINE)[0]
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]
