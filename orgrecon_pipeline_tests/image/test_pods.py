"""Tests that podman runs the pods of the base: the CronJob's, the exporter's, and that of the reader."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orgrecon_pipeline_tests.support.image.engine import options, podman
from orgrecon_pipeline_tests.support.image.pod import played, reader, template_of
from orgrecon_pipeline_tests.support.image.servers import Databases, ledger_is_up
from orgrecon_pipeline_tests.support.operations.concurrency import wait_until

pytestmark = pytest.mark.image


@pytest.fixture(autouse=True)
def _without_volumes(image: str) -> Iterator[None]:
    yield
    podman("volume", "rm", "--force", "orgrecon-data", "orgrecon-mapping", "signing")


def test_pod_of_the_cron_job_writes_a_report_that_the_reader_copies(databases: Databases, tmp_path: Path) -> None:
    secret = {"DATABASE_URL": databases.source, "ORGRECON_LEDGER_URL": databases.ledger,
              "ORGRECON_SIGNING_KEY_FILE": "/etc/orgrecon-signing/key"}
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    with played("cron", template_of("report"), secret, (tmp_path / "key").read_text()) as container:
        code = podman("wait", container).stdout.strip()
        log = podman("logs", container)
        assert code == "0", log.stdout + log.stderr
    with played("reader", reader(), secret) as container:
        podman("cp", f"{container}:/var/lib/orgrecon/reports/.", str(tmp_path))
    [report] = tmp_path.glob("2*.md")
    assert "| PASS |" in report.read_text()
    assert '"provenance":"live"' in report.read_text()
    (tmp_path / "signers").write_text(f"orgrecon {(tmp_path / 'key.pub').read_text()}")
    subprocess.run(["ssh-keygen", "-Y", "verify", "-f", tmp_path / "signers", "-I", "orgrecon", "-n", "orgrecon-report",
                    "-s", f"{report}.sig"], stdin=report.open("rb"), check=True)


def test_pod_of_the_cron_job_fails_with_the_verdict_of_an_unreachable_database(databases: Databases) -> None:
    secret = {"DATABASE_URL": "postgresql://reader@127.0.0.1:1/app", "ORGRECON_LEDGER_URL": databases.ledger}
    with played("cron", template_of("report"), secret) as container:
        assert podman("wait", container).stdout.strip() == "3"


def test_pod_of_the_exporter_serves_metrics_of_the_ledger(image: str, volume: str, databases: Databases) -> None:
    secret = {"ORGRECON_LEDGER_URL": databases.ledger}
    podman("run", "--rm", "--no-healthcheck", *options(volume, secret, "10001:10001"), image, "orgrecon", "report",
           "--baseline")
    with played("metrics", template_of("exporter"), secret):
        wait_until(ledger_is_up, seconds=120)
