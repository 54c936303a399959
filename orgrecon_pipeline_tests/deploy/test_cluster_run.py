"""Tests that run the CronJob's command as the read-only role and check its report, metrics and alerts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from orgrecon_pipeline.demo import company
from orgrecon_pipeline_tests.support.deploy.tools import ROOT, promtool
from orgrecon_pipeline_tests.support.python_process import ORGRECON, run_python

Connection = psycopg.Connection[Any]

CRON = yaml.safe_load((ROOT / "deploy/cron/org-v23-reconcile-report.yaml").read_text())
CONTAINER: dict[str, Any] = CRON["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]


class Pod:
    """The container of the manifest without a cluster: its command, environment, volume and working directory."""

    def __init__(self, volume: Path, working_dir: Path, secret: dict[str, str]) -> None:
        self.volume, self.working_dir = volume, working_dir
        names = {entry["name"] for entry in CONTAINER["env"]}
        assert secret.keys() <= names
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(working_dir.parent / "tmp"), **secret}
        (working_dir.parent / "tmp").mkdir()

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        assert command[0] == "orgrecon"
        arguments = [part.replace("/var/lib/orgrecon", str(self.volume)) for part in command[1:]]
        return run_python(ORGRECON, *arguments, cwd=self.working_dir,
                          env={**self.environ, "TMPDIR": self.environ["HOME"]})

    def report(self) -> tuple[int, str, str]:
        done = self.run(*CONTAINER["command"], *CONTAINER["args"])
        [file] = sorted((self.volume / "reports").glob("2*.md"))
        return done.returncode, file.read_text(), done.stderr


@pytest.fixture
def owner(company_database: str, connect: Callable[[str], Connection]) -> Iterator[Connection]:
    connection = connect(company_database)
    company.seed(connection, tenants=5, users_per_tenant=6)
    connection.execute((ROOT / "deploy/sql/readonly_role.sql").read_text())
    yield connection
    connection.execute("DROP OWNED BY orgrecon_reader")


@pytest.fixture
def pod(tmp_path: Path, owner: Connection, company_database: str, new_database: Callable[..., str]) -> Pod:
    parts = urlsplit(company_database)
    reader = urlunsplit(parts._replace(netloc="orgrecon_reader@"))
    with psycopg.connect(reader) as connection:
        assert connection.execute("SELECT session_user, current_setting('is_superuser')").fetchone() == (
            "orgrecon_reader", "off",
        )
    for name in ("volume", "etc"):
        (tmp_path / name).mkdir()
    return Pod(tmp_path / "volume", tmp_path / "etc",
               {"DATABASE_URL": reader, "ORGRECON_LEDGER_URL": new_database()})


def firing(metrics: str, tmp_path: Path, alert: str) -> bool:
    """Return whether the alert fires if Prometheus scrapes these metrics every minute for one hour."""
    series = [
        {"series": sample.name + "{" + ", ".join(f'{k}="{v}"' for k, v in
                                                  {**sample.labels, "job": "orgrecon"}.items()) + "}",
         "values": f"{sample.value}x60"}
        for family in text_string_to_metric_families(metrics) for sample in family.samples
        if sample.value == sample.value  # promtool has no notation for a repeated NaN
    ]
    case = {
        "rule_files": [str(ROOT / "deploy/alerts/reconcile.yaml")], "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series,
                   "alert_rule_test": [{"eval_time": "40m", "alertname": alert, "exp_alerts": []}]}],
    }
    file = tmp_path / "quiet.yaml"
    file.write_text(yaml.safe_dump(case))
    quiet = subprocess.run([promtool(), "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert "parse error" not in quiet.stdout + quiet.stderr
    return quiet.returncode != 0


def metrics_of(pod: Pod) -> str:
    file = pod.volume / "orgrecon.prom"
    done = pod.run("orgrecon", "metrics", "--textfile", str(file))
    assert done.returncode == 0, done.stderr
    return file.read_text()


def test_report_as_read_only_role_is_pass(pod: Pod) -> None:
    code, report, errors = pod.report()
    assert code == 0, errors
    assert "| PASS |" in report
    assert list(pod.working_dir.iterdir()) == [], "the working directory is a read-only mount"
    assert '"provenance":"live"' in report.splitlines()[-1]


def test_undecided_run_writes_its_report_and_fires_the_alert_until_a_rerun_passes(
    pod: Pod, owner: Connection, tmp_path: Path,
) -> None:
    owner.execute("REVOKE SELECT ON public.org_unit_memberships FROM orgrecon_reader")
    code, report, errors = pod.report()
    assert code == 3, errors
    assert "INCONCLUSIVE" in report
    assert "org_unit_memberships" in report, "the reason must name the table"
    assert firing(metrics_of(pod), tmp_path, "OrgreconInconclusive")
    # The job's retry on the same day succeeds after the grant is restored.
    owner.execute("GRANT SELECT ON public.org_unit_memberships TO orgrecon_reader")
    assert pod.report()[0] == 0
    assert not firing(metrics_of(pod), tmp_path, "OrgreconInconclusive")


def test_drift_fails_the_job_writes_a_fail_report_and_fires_the_alert(
    pod: Pod, owner: Connection, tmp_path: Path,
) -> None:
    owner.execute("DELETE FROM public.org_unit_memberships WHERE ctid IN "
                  "(SELECT ctid FROM public.org_unit_memberships LIMIT 3)")
    (pod.working_dir / "orgrecon.yaml").write_text(
        (ROOT / "deploy/kustomize/base/orgrecon.yaml").read_text()
        .replace("settle_seconds: 5, rechecks: 3", "settle_seconds: 0, rechecks: 0"))
    code, report, errors = pod.report()
    assert code == 1, errors
    assert "| FAIL |" in report
    assert code in CRON["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"][1]["onExitCodes"]["values"]
    metrics = metrics_of(pod)
    labels = 'entity="org_unit_memberships",environment="",kind="missing",migration="org-v23"'
    assert f"orgrecon_drift_rows{{{labels}}} 3.0" in metrics
    assert firing(metrics, tmp_path, "OrgreconDriftFound")
    assert not firing(metrics, tmp_path, "OrgreconInconclusive")
