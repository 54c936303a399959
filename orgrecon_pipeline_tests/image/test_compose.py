"""Test that podman-compose starts the installation for a laptop and that its containers share one Dagster instance."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from orgrecon_pipeline_tests.support.deploy.tools import DEPLOY, own_venv
from orgrecon_pipeline_tests.support.image.engine import environ, podman
from orgrecon_pipeline_tests.support.image.servers import ledger_is_up, read_url
from orgrecon_pipeline_tests.support.operations.concurrency import wait_until

pytestmark = pytest.mark.image

PROJECT = "orgrecon-test"


@pytest.fixture
def installation(image: str, tmp_path: Path) -> Iterator[None]:
    """The started containers of compose.yaml, with images that exist already."""
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    for service in compose["services"].values():
        service.pop("build", None)
        service["volumes"] = [volume.replace("./", f"{DEPLOY}/") for volume in service["volumes"]]
        if "extra_hosts" in service:
            service["extra_hosts"] = ["host.docker.internal:127.0.0.1"]  # podman 4.3 has no host-gateway
    file = tmp_path / "compose.yaml"
    file.write_text(yaml.safe_dump(compose))
    command = [str(own_venv("podman-compose==1.6.0") / "podman-compose"), "-p", PROJECT, "-f", str(file)]
    variables = {**environ(), "DATABASE_URL": "postgresql://reader@127.0.0.1:1/app"}
    try:
        done = subprocess.run([*command, "up", "--detach", "--no-build"], env=variables, capture_output=True, text=True,
                              check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        yield
    finally:
        subprocess.run([*command, "down", "--volumes", "--timeout", "10"], env=variables, capture_output=True,
                       check=False)


def test_compose_shares_one_instance_and_one_ledger(installation: None) -> None:
    wait_until(lambda: "version" in read_url("http://127.0.0.1:3000/server_info"), seconds=240)
    podman("exec", f"{PROJECT}_daemon_1", "orgrecon", "report", "--baseline")
    runs = json.loads(read_url("http://127.0.0.1:3000/graphql?query={runsOrError{...on%20Runs{results{status}}}}"))
    assert {"status": "SUCCESS"} in runs["data"]["runsOrError"]["results"]
    wait_until(ledger_is_up, seconds=120)
    podman("exec", f"{PROJECT}_webserver_1", "sh", "-c", "cat /var/lib/orgrecon/reports/2*.md")

