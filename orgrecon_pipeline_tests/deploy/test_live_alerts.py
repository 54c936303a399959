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
from urllib.parse import urlsplit

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.demo import company
from orgrecon_pipeline.demo.application import published_metrics
from orgrecon_pipeline.metrics.exporter import make_metrics_server
from orgrecon_pipeline_tests.support.deploy.tools import ROOT, promtool, run
from orgrecon_pipeline_tests.support.workload.metered_writes import MeteredWrites
from orgrecon_pipeline_tests.support.workload.writer import DualWriter, DualWriterSettings

pytestmark = pytest.mark.slow

Alert = tuple[str, str]


def in_quick_time(rules: str) -> str:
    """Minutes become seconds, and what has to last lasts three seconds."""
    return re.sub(r"for: \d+m", "for: 3s", re.sub(r"\[(\d+)m\]", r"[\1s]", rules))


@contextmanager
def nothing_published() -> Iterator[int]:
    """A server that can be scraped and has nothing to say."""
    server = make_metrics_server(CollectorRegistry(), host="127.0.0.1", port=0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def prometheus(folder: Path, target: int) -> Iterator[Callable[[], set[Alert]]]:
    """A Prometheus that scrapes the target every second; gives a function that names what fires, by entity."""
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

        def firing() -> set[Alert]:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/alerts", timeout=5) as answer:
                    alerts = json.load(answer)["data"]["alerts"]
            except (urllib.error.URLError, ConnectionError):
                assert process.poll() is None, (folder / "log").read_text()[-500:]
                return set()
            return {(alert["labels"]["alertname"], alert["labels"].get("entity", "")) for alert in alerts
                    if alert["state"] == "firing"}

        try:
            yield firing
        finally:
            process.terminate()
            process.wait(timeout=30)


def seen_within(seconds: float, firing: Callable[[], set[Alert]], wanted: set[Alert]) -> set[Alert]:
    """What fired until all that is wanted has, or the time is over."""
    deadline, seen = time.monotonic() + seconds, set[Alert]()
    while not wanted <= seen and time.monotonic() < deadline:
        time.sleep(0.5)
        seen |= firing()
    return seen


def test_a_writer_that_is_late_or_fails_is_told_of_and_a_healthy_one_is_not(
    tmp_path: Path, company_database: str,
) -> None:
    with psycopg.connect(company_database, autocommit=True) as connection:
        company.seed(connection, tenants=4, users_per_tenant=6)
    entities = list(default_mapping().entities)
    healthy = DualWriterSettings(operations_per_second=50, lag_seconds=0.05)
    late = DualWriterSettings(operations_per_second=50, lag_seconds=6, seed=2)
    losing = DualWriterSettings(operations_per_second=50, lag_seconds=0.05, loss=1, seed=3)
    # The very emission of `orgrecon demo`, scraped over HTTP.
    with (published_metrics(entities, port=0, textfile=tmp_path / "dualwrite.prom") as (metrics, url),
          prometheus(tmp_path, int(urlsplit(url).port or 0)) as firing):
        observer = MeteredWrites(metrics)
        with DualWriter(company_database, healthy, observer=observer):
            # Before the first scrape the metrics are absent, and truly so.
            seen_within(10, firing, {("none", "of them")})
            assert seen_within(20, firing, {("none", "of them")}) == set()
        with DualWriter(company_database, late, observer=observer):
            wanted = {("DualWriteLagHigh", entity) for entity in entities}
            assert seen_within(60, firing, wanted) >= wanted
        with DualWriter(company_database, losing, observer=observer):
            wanted = {(alert, entity) for entity in entities for alert in (
                "DualWriteSecondWriteFailed", "DualWriteErrorRatioHigh")}
            seen = seen_within(90, firing, wanted)
        assert seen >= wanted
        assert not {"DualWriteMetricsAbsent", "DualWriteOneSideSilent"} & {alert for alert, _ in seen}
    run(promtool(), "check", "metrics", stdin=(tmp_path / "dualwrite.prom").read_text())
    with nothing_published() as port, prometheus(_new(tmp_path / "absent"), port) as firing:
        wanted = {("DualWriteMetricsAbsent", "")}
        assert seen_within(60, firing, wanted) == wanted


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder
