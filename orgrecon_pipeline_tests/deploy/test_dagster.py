"""Tests of the Dagster deployments: chart values and compose file by schema, the plain host by running it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import psycopg
import pytest
import yaml

from orgrecon_pipeline.demo import company
from orgrecon_pipeline_tests.support.deploy.tools import DEPLOY, ROOT, from_venv, run
from orgrecon_pipeline_tests.support.environ import inherited_environ

Tree = dict[str, Any]

# The keys of Dagster's chart (from its schema) that we use. The chart rejects unknown keys under runLauncher,
# runCoordinator and dagsterDaemon but silently ignores them elsewhere, so this test checks all of them.
CHART: Tree = {
    "global": {"postgresqlSecretName"},
    "generatePostgresqlPasswordSecret": None,
    "postgresql": {
        "enabled", "postgresqlHost", "postgresqlUsername", "postgresqlDatabase", "postgresqlScheme",
        "postgresqlParams", "service",
    },
    "rabbitmq": {"enabled"},
    "redis": {"enabled"},
    "telemetry": {"enabled"},
    "dagster-user-deployments": {"enabled", "deployments"},
    "runLauncher": {"type", "config"},
    "computeLogManager": {"type"},
    "dagsterDaemon": {
        "runCoordinator", "runMonitoring", "runRetries", "resources", "podSecurityContext", "securityContext",
        "volumes", "volumeMounts",
    },
    "dagsterWebserver": {
        "service", "readinessProbe", "resources", "podSecurityContext", "securityContext", "volumes", "volumeMounts",
    },
    "migrate": {"enabled"},
    "retention": {"enabled", "schedule", "sensor"},
    "additionalInstanceConfig": {"run_retries"},
    "concurrency": {"pools"},
}
USER_DEPLOYMENT = {
    "name", "image", "codeServerArgs", "port", "includeConfigInLaunchedRuns", "env", "envSecrets", "volumes",
    "volumeMounts", "resources", "podSecurityContext", "securityContext",
}
K8S_RUN_LAUNCHER = {
    "image", "imagePullPolicy", "jobNamespace", "loadInclusterConfig", "kubeconfigFile", "envConfigMaps", "envSecrets",
    "envVars", "volumeMounts", "volumes", "labels", "failPodOnRunFailure", "resources", "schedulerName",
    "securityContext", "runK8sConfig",
}
RUN_K8S_CONFIG = {"containerConfig", "podSpecConfig", "podTemplateSpecMetadata", "jobSpecConfig", "jobMetadata"}
QUEUED = {
    "maxConcurrentRuns", "tagConcurrencyLimits", "dequeueIntervalSeconds", "dequeueNumWorkers", "dequeueUseThreads",
}


@pytest.fixture
def values() -> Tree:
    loaded: Tree = yaml.safe_load((DEPLOY / "helm/values.yaml").read_text())
    return loaded


def test_chart_values_have_known_keys_only(values: Tree) -> None:
    assert values.keys() == CHART.keys()
    openshift = yaml.safe_load((DEPLOY / "helm/openshift.yaml").read_text())
    assert openshift.keys() <= CHART.keys()
    for name, known in CHART.items():
        if known is not None:
            assert values[name].keys() | openshift.get(name, {}).keys() <= known, name
    [deployment] = values["dagster-user-deployments"]["deployments"]
    assert deployment.keys() == USER_DEPLOYMENT
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
    assert launcher.keys() <= K8S_RUN_LAUNCHER
    assert launcher["runK8sConfig"].keys() <= RUN_K8S_CONFIG
    assert values["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"].keys() <= QUEUED


def test_deployment_for_an_existing_release_equals_that_of_a_new_one(values: Tree) -> None:
    existing = yaml.safe_load((DEPLOY / "helm/deployments.yaml").read_text())
    assert existing == {"deployments": values["dagster-user-deployments"]["deployments"]}


def test_chart_storage_is_external_postgres_with_secret_and_named_driver(values: Tree) -> None:
    assert values["postgresql"]["enabled"] is False
    assert values["generatePostgresqlPasswordSecret"] is False
    assert values["global"]["postgresqlSecretName"]
    assert values["postgresql"]["postgresqlScheme"] == "postgresql+psycopg2"
    assert "assword" not in json.dumps(values["postgresql"])
    assert (values["rabbitmq"]["enabled"], values["telemetry"]["enabled"]) == (False, False)


def test_chart_runs_share_volume_mapping_and_secret(values: Tree) -> None:
    [deployment] = values["dagster-user-deployments"]["deployments"]
    cron = yaml.safe_load((DEPLOY / "cron/org-v23-reconcile-report.yaml").read_text())
    pod = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert deployment["includeConfigInLaunchedRuns"] == {"enabled": True}
    assert deployment["codeServerArgs"] == ["--module-name", "orgrecon_pipeline.definitions"]
    assert {v["name"] for v in deployment["volumes"]} == {m["name"] for m in deployment["volumeMounts"]}
    volumes = [*deployment["volumes"], *pod["volumes"]]
    claims = [v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v]
    assert claims == ["orgrecon-data"] * 2
    environ = {e["name"]: e["value"] for e in deployment["env"]}
    assert environ["ORGRECON_OUTPUT_DIR"] == pod["containers"][0]["args"][-1]
    assert deployment["envSecrets"] == [{"name": "orgrecon"}]
    assert deployment["image"]["tag"] != "latest"


def test_chart_and_plain_host_have_the_same_instance_settings(values: Tree) -> None:
    plain = yaml.safe_load((DEPLOY / "dagster/dagster.yaml").read_text())
    queue = values["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]
    runs = plain["concurrency"]["runs"]
    assert runs["max_concurrent_runs"] == queue["maxConcurrentRuns"]
    pools = values["concurrency"]["pools"]
    assert plain["concurrency"]["pools"] == {"default_limit": 1, "granularity": "run"}
    assert pools == {"defaultLimit": 1, "granularity": "run"}
    assert plain["retention"]["sensor"]["purge_after_days"] == values["retention"]["sensor"]["purgeAfterDays"]
    assert plain["retention"]["schedule"]["purge_after_days"] == values["retention"]["schedule"]["purgeAfterDays"]
    assert plain["telemetry"] == values["telemetry"]
    # If enabled, the chart would write its own block, which would take precedence.
    assert values["dagsterDaemon"]["runRetries"] == {"enabled": False}
    assert plain["run_retries"] == values["additionalInstanceConfig"]["run_retries"]
    assert plain["run_retries"] == {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False}
    assert plain["run_monitoring"]["enabled"] is values["dagsterDaemon"]["runMonitoring"]["enabled"] is True


def test_chart_version_equals_the_locked_dagster_version() -> None:
    [locked] = [line for line in (ROOT / "uv.lock").read_text().split("[[package]]") if '\nname = "dagster"\n' in line]
    version = locked.split('version = "')[1].split('"')[0]
    assert f"--version {version}" in (DEPLOY / "helm/values.yaml").read_text()


def test_compose_file_is_valid_and_publishes_ports_on_localhost_only() -> None:
    file = DEPLOY / "compose.yaml"
    run(from_venv("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(file))
    compose = yaml.safe_load(file.read_text())
    assert compose["services"].keys() == {"postgres", "webserver", "daemon", "exporter"}
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        for volume in service["volumes"]:
            source, _, _ = volume.partition(":")
            assert source in compose["volumes"] or (DEPLOY / source).is_file()
    assert compose["services"]["exporter"]["command"] == ["orgrecon", "exporter", "--port", "9464"]


@pytest.fixture
def instance(tmp_path: Path, new_database: Callable[..., str]) -> dict[str, str]:
    """Return the environment of a plain host: our dagster.yaml, with Dagster's storage and the ledger on PostgreSQL."""
    home = tmp_path / "dagster_home"
    home.mkdir()
    shutil.copy(DEPLOY / "dagster/dagster.yaml", home)
    environ = inherited_environ()
    return {
        **environ,
        "DAGSTER_HOME": str(home),
        "DAGSTER_PG_URL": _with_driver(new_database()),
        "ORGRECON_LEDGER_URL": new_database(),
        "ORGRECON_OUTPUT_DIR": str(tmp_path / "reports"),
    }


def _with_driver(dsn: str) -> str:
    parts = urlsplit(dsn)
    socket_dir = parse_qs(parts.query)["host"][0]
    return f"postgresql+psycopg2://{parts.username}@/{unquote(parts.path[1:])}?host={socket_dir}"


def _instance_script(environ: dict[str, str], script: str) -> Any:
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_plain_host_stores_a_real_run_in_postgres(instance: dict[str, str], tmp_path: Path) -> None:
    report = ["-m", "orgrecon_pipeline", "report", "--baseline", "--output-dir", str(tmp_path / "reports")]
    done = subprocess.run([sys.executable, *report], env=instance, cwd=tmp_path, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    details = _instance_script(instance, (
        "import json, dagster as dg\n"
        "with dg.DagsterInstance.get() as i:\n"
        "    print(json.dumps({'storage': type(i.event_log_storage).__name__,\n"
        "        'runs': [r.status.value for r in i.get_runs()],\n"
        "        'limit': i.get_concurrency_config().pool_config.default_pool_limit,\n"
        "        'monitoring': i.run_monitoring_enabled, 'telemetry': i.telemetry_enabled}))\n"
    ))
    assert details == {
        "storage": "PostgresEventLogStorage", "runs": ["SUCCESS"], "monitoring": True, "telemetry": False,
        "limit": 1,
    }


@contextmanager
def process(*command: str, environ: dict[str, str], cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (cwd / f"{Path(command[0]).name}.log").open("wb") as log, subprocess.Popen(
        command, env=environ, cwd=cwd, stdout=log, stderr=log, start_new_session=True,
    ) as started:
        try:
            yield started
        finally:
            # Ends the whole session: code servers are children of web server and daemon.
            os.killpg(started.pid, signal.SIGTERM)
            try:
                started.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(started.pid, signal.SIGKILL)


def _eventually(read: Callable[[], Any], seconds: float) -> Any:
    """Return the first true value of ``read``, or its last value after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            value = read()
        except (OSError, KeyError, TypeError):
            value = None
        if value or time.monotonic() > deadline:
            return value
        time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_web_server_and_daemon_on_postgres_observe_the_day(
    instance: dict[str, str], tmp_path: Path, company_database: str,
) -> None:
    # At 09:00 UTC the day's observation is due, at any real time of the test.
    today = datetime.now(timezone.utc).date()
    (tmp_path / "now").write_text(f"{today}T09:00:00+00:00")
    with psycopg.connect(company_database, autocommit=True) as connection:
        company.seed(connection, tenants=3, users_per_tenant=4)
        company.mark_simulated(connection)
    instance |= {"DATABASE_URL": company_database, "ORGRECON_SIMULATED_NOW_FILE": str(tmp_path / "now")}
    report = Path(instance["ORGRECON_OUTPUT_DIR"]) / f"{today}.md"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def graphql(query: str) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/graphql", data=json.dumps({"query": query}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["data"]

    module = ("-m", "orgrecon_pipeline.definitions")
    webserver = (from_venv("dagster-webserver"), "-h", "127.0.0.1", "-p", str(port), *module)
    daemon = (from_venv("dagster-daemon"), "run", *module)
    with (process(*webserver, environ=instance, cwd=tmp_path), process(*daemon, environ=instance, cwd=tmp_path)):
        healthy = _eventually(lambda: [
            status["daemonType"] for status in graphql(
                "{instance{daemonHealth{allDaemonStatuses{daemonType required healthy}}}}"
            )["instance"]["daemonHealth"]["allDaemonStatuses"] if status["required"] and status["healthy"]
        ], 90)
        assert {"SCHEDULER", "SENSOR", "QUEUED_RUN_COORDINATOR", "MONITORING"} <= set(healthy or ())
        workspace = graphql(
            "{workspaceOrError{... on Workspace{locationEntries{name locationOrLoadError{__typename}}}}}"
        )["workspaceOrError"]
        loaded = [entry["locationOrLoadError"]["__typename"] for entry in workspace["locationEntries"]]
        assert loaded == ["RepositoryLocation"]
        assert _eventually(report.exists, 180), "the daemon did not observe the day"
        done = _eventually(lambda: [
            run["status"] for run in graphql("{runsOrError{... on Runs{results{status}}}}")["runsOrError"]["results"]
            if run["status"] == "SUCCESS"
        ], 60)
        assert done == ["SUCCESS"]
    assert "| PASS |" in report.read_text()
