"""Test of the dual-write alerts with the demo's dual writer, a real Prometheus, and accelerated rules."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.demo import company
from orgrecon_pipeline.demo.application import published_metrics
from orgrecon_pipeline.metrics.exporter import make_exporter
from orgrecon_pipeline_tests.support.deploy.tools import ROOT, promtool, run
from orgrecon_pipeline_tests.support.http_server import serving
from orgrecon_pipeline_tests.support.workload.metered_writes import MeteredWrites
from orgrecon_pipeline_tests.support.workload.writer import DualWriter, DualWriterSettings

pytestmark = pytest.mark.slow

Alert = tuple[str, str]


def accelerated(rules: str) -> str:
    """Return the rules with minutes replaced by seconds and every ``for`` by three seconds."""
    return re.sub(r"for: \d+m", "for: 3s", re.sub(r"\[(\d+)m\]", r"[\1s]", rules))


@contextmanager
def empty_metrics_server() -> Iterator[int]:
    """Serve an empty metrics page; yield its port."""
    server = make_exporter(CollectorRegistry(), host="127.0.0.1", port=0)
    with serving(server):
        yield server.server_port


@contextmanager
def prometheus(folder: Path, target: int) -> Iterator[Callable[[], set[Alert]]]:
    """Run a Prometheus that scrapes the target every second; yield a function that returns the firing alerts."""
    program = shutil.which("prometheus")
    if program is None:
        promtool()  # comes in the same package: fails or skips with the reason
        pytest.skip("prometheus is not installed: install Debian's package prometheus")
    (folder / "dualwrite.yaml").write_text(accelerated((ROOT / "deploy/alerts/dualwrite.yaml").read_text()))
    (folder / "prometheus.yaml").write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        "rule_files: [dualwrite.yaml]\n"
        f"scrape_configs: [{{job_name: app, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}]\n"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "log").open("wb") as log, subprocess.Popen(
        [program, f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'data'}",
         f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log,
    ) as process:

        def firing() -> set[Alert]:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/alerts", timeout=5) as response:
                    alerts = json.load(response)["data"]["alerts"]
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()[-500:]
                return set()
            return {(alert["labels"]["alertname"], alert["labels"].get("entity", "")) for alert in alerts
                    if alert["state"] == "firing"}

        try:
            yield firing
        finally:
            process.terminate()
            process.wait(timeout=30)


def fired_within(seconds: float, firing: Callable[[], set[Alert]], expected: set[Alert]) -> set[Alert]:
    """Return the alerts that fired until all expected ones did, or until the time is over."""
    deadline, fired = time.monotonic() + seconds, set[Alert]()
    while not expected <= fired and time.monotonic() < deadline:
        time.sleep(0.5)
        fired |= firing()
    return fired


def test_dualwrite_alerts_fire_for_a_late_failing_or_absent_writer_only(
    tmp_path: Path, company_database: str,
) -> None:
    with psycopg.connect(company_database, autocommit=True) as connection:
        company.seed(connection, tenants=4, users_per_tenant=6)
    entities = list(default_mapping().entities)
    healthy = DualWriterSettings(operations_per_second=50, lag_seconds=0.05)
    late = DualWriterSettings(operations_per_second=50, lag_seconds=6, seed=2)
    losing = DualWriterSettings(operations_per_second=50, lag_seconds=0.05, loss=1, seed=3)
    # The metrics endpoint that `orgrecon demo` uses, scraped over HTTP.
    with (published_metrics(entities, port=0, textfile=tmp_path / "dualwrite.prom") as (metrics, url),
          prometheus(tmp_path, int(urlsplit(url).port or 0)) as firing):
        observer = MeteredWrites(metrics)
        with DualWriter(company_database, healthy, observer=observer):
            # Before the first scrape, DualWriteMetricsAbsent fires correctly.
            fired_within(10, firing, {("none", "of them")})
            assert fired_within(20, firing, {("none", "of them")}) == set()
        with DualWriter(company_database, late, observer=observer):
            expected = {("DualWriteLagHigh", entity) for entity in entities}
            assert fired_within(60, firing, expected) >= expected
        with DualWriter(company_database, losing, observer=observer):
            expected = {(alert, entity) for entity in entities for alert in (
                "DualWriteSecondWriteFailed", "DualWriteErrorRatioHigh")}
            fired = fired_within(90, firing, expected)
        assert fired >= expected
        assert not {"DualWriteMetricsAbsent", "DualWriteOneSideSilent"} & {alert for alert, _ in fired}
    run(promtool(), "check", "metrics", stdin=(tmp_path / "dualwrite.prom").read_text())
    with empty_metrics_server() as port, prometheus(_new(tmp_path / "absent"), port) as firing:
        expected = {("DualWriteMetricsAbsent", "")}
        assert fired_within(60, firing, expected) == expected


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder
