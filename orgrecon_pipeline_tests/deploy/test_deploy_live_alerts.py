"""The dual-write alerts against a live scrape: the demo's dual writer, a real Prometheus, and rules in quick time."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import psycopg
import pytest
from prometheus_client import CollectorRegistry, make_wsgi_app

from orgrecon_pipeline.demo import company
from orgrecon_pipeline.demo.dual_writer import DualWriter, DualWriterSettings
from orgrecon_pipeline.metrics.dualwrite import DualWriteMetrics
from orgrecon_pipeline.metrics.metered_writes import MeteredWrites
from orgrecon_pipeline_tests.deploy.tools import ROOT, promtool

pytestmark = pytest.mark.slow


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def in_quick_time(rules: str) -> str:
    """Minutes become seconds, and what has to last lasts three seconds."""
    return re.sub(r"for: \d+m", "for: 3s", re.sub(r"\[(\d+)m\]", r"[\1s]", rules))


@contextmanager
def scraped(registry: CollectorRegistry) -> Iterator[int]:
    """The registry behind an HTTP server."""
    server = make_server("127.0.0.1", 0, make_wsgi_app(registry), handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def prometheus(folder: Path, target: int) -> Iterator[Callable[[], set[str]]]:
    """A Prometheus that scrapes the target every second; gives a function that names the alerts that fire."""
    program = shutil.which("prometheus")
    if program is None:
        promtool()  # comes in the same package: fails or skips with the reason
        pytest.skip("prometheus is not here")
    (folder / "dualwrite.yaml").write_text(in_quick_time((ROOT / "deploy/alerts/dualwrite.yaml").read_text()))
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

        def firing() -> set[str]:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/alerts", timeout=5) as answer:
                    alerts = json.load(answer)["data"]["alerts"]
            except (urllib.error.URLError, ConnectionError):
                assert process.poll() is None, (folder / "log").read_text()[-500:]
                return set()
            return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

        try:
            yield firing
        finally:
            process.terminate()
            process.wait(timeout=30)


def seen_within(seconds: float, firing: Callable[[], set[str]], wanted: set[str]) -> set[str]:
    """What fired until all that is wanted has, or the time is over."""
    deadline, seen = time.monotonic() + seconds, set[str]()
    while not wanted <= seen and time.monotonic() < deadline:
        time.sleep(0.5)
        seen |= firing()
    return seen


def test_losses_are_alerted_within_seconds_and_a_healthy_writer_is_quiet(tmp_path: Path, company_database: str) -> None:
    with psycopg.connect(company_database, autocommit=True) as connection:
        company.seed(connection, tenants=4, users_per_tenant=6)
    registry = CollectorRegistry()
    observer = MeteredWrites(DualWriteMetrics(registry, ["org_units"]), "org_units")
    healthy = DualWriterSettings(operations_per_second=50, lag_seconds=0.05)
    losing = DualWriterSettings(operations_per_second=50, lag_seconds=0.05, loss=0.3, seed=2)
    with scraped(registry) as port, prometheus(tmp_path, port) as firing:
        with DualWriter(company_database, healthy, observer=observer):
            # Before the first scrape the metrics are absent, and truly so.
            seen_within(10, firing, {"none of them"})
            assert seen_within(20, firing, {"none of them"}) == set()
        with DualWriter(company_database, losing, observer=observer):
            wanted = {"DualWriteSecondWriteFailed", "DualWriteErrorRatioHigh"}
            seen = seen_within(60, firing, wanted)
        assert seen >= wanted
        assert "DualWriteMetricsAbsent" not in seen
    with scraped(CollectorRegistry()) as port, prometheus(_new(tmp_path / "absent"), port) as firing:
        assert seen_within(60, firing, {"DualWriteMetricsAbsent"}) == {"DualWriteMetricsAbsent"}


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder
