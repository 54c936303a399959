"""Published metrics have all series from the start, NaN for unknown figures, and a closed gate without a ledger."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date, datetime, timezone
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from orgrecon_pipeline.domain.drift.kinds import Counts, DriftKind
from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.evidence import EntityTotals, Observation, Verdict
from orgrecon_pipeline.metrics.collector import EvidenceCollector, make_registry, metric_families
from orgrecon_pipeline.metrics.exporter import make_exporter, write_textfile
from orgrecon_pipeline.metrics.snapshot import MetricsSnapshot
from orgrecon_pipeline_tests.support.default_identity import IDENTITY
from orgrecon_pipeline_tests.support.deploy.tools import promtool
from orgrecon_pipeline_tests.support.http_server import serving
from orgrecon_pipeline_tests.support.ledger.cases import observation
from orgrecon_pipeline_tests.support.operations.concurrency import wait_until
from orgrecon_pipeline_tests.support.python_process import start_python

ENTITIES = ("org_units", "org_unit_memberships")
EIGHT = datetime(2026, 3, 2, 8, 0, 5, tzinfo=timezone.utc)

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def day_observation(verdict: Verdict = Verdict.PASS, totals: EntityTotals | None = None) -> Observation:
    totals = totals or EntityTotals(
        **{**Counts.of({"missing": 1, "mismatched": 2}), "source_rows": 10, "target_rows": 9, "transient": 3}
    )
    return observation("a", date(2026, 3, 2), verdict, observed_at=EIGHT, tenants_scanned=4, tenants_with_drift=1,
                       entities=dict.fromkeys(ENTITIES, totals))


def snapshot(verdict: Verdict = Verdict.PASS) -> MetricsSnapshot:
    return MetricsSnapshot(
        ledger_up=True, window_days=7, latest_day=date(2026, 3, 2), latest=day_observation(verdict),
        last_completion=EIGHT, last_success=EIGHT, scan_seconds=1.5, streak_days=7, live_days=7, gate_open=True,
        observations={Verdict.PASS: 8, Verdict.FAIL: 1},
    )


def series_of(text: str) -> Series:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def get(series: Series, name: str, **labels: str) -> float:
    return series[name, frozenset({**IDENTITY.as_json_value(), **labels}.items())]


def exporting(read: Callable[[], MetricsSnapshot]) -> AbstractContextManager[str]:
    registry = make_registry(EvidenceCollector(read, IDENTITY, ENTITIES, 7))
    return serving(make_exporter(registry, host="127.0.0.1", port=0))


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return str(answer.read().decode())


def answers(url: str) -> bool:
    """Return whether the server accepts a request."""
    try:
        return bool(fetch(url))
    except urllib.error.HTTPError:
        return False


def test_series_before_the_first_observation_are_the_same_as_after_it(tmp_path: Path) -> None:
    empty, full = tmp_path / "empty.prom", tmp_path / "full.prom"
    nothing = MetricsSnapshot(ledger_up=True, window_days=7)
    write_textfile(empty, EvidenceCollector(lambda: nothing, IDENTITY, ENTITIES, 7))
    write_textfile(full, EvidenceCollector(snapshot, IDENTITY, ENTITIES, 7))
    before, after = series_of(empty.read_text()), series_of(full.read_text())
    assert before.keys() == after.keys()
    assert math.isnan(get(before, "orgrecon_drift_rows", entity="org_units", kind="missing"))
    assert get(before, "orgrecon_last_success_timestamp_seconds") == 0
    assert get(before, "orgrecon_gate_open") == 0


def test_published_figures_equal_those_of_the_observation(tmp_path: Path) -> None:
    file = tmp_path / "orgrecon.prom"
    write_textfile(file, EvidenceCollector(snapshot, IDENTITY, ENTITIES, 7))
    series = series_of(file.read_text())
    drift = [get(series, "orgrecon_drift_rows", entity="org_unit_memberships", kind=kind) for kind in DriftKind]
    assert drift[:4] == [1, 0, 2, 0]
    assert get(series, "orgrecon_rows_compared", entity="org_units", side="source") == 10
    assert get(series, "orgrecon_rows_compared", entity="org_units", side="target") == 9
    assert get(series, "orgrecon_transient_rows", entity="org_units") == 3
    assert get(series, "orgrecon_tenants_scanned") == 4
    assert get(series, "orgrecon_tenants_with_drift") == 1
    assert get(series, "orgrecon_last_completion_timestamp_seconds") == EIGHT.timestamp()
    assert get(series, "orgrecon_latest_day_timestamp_seconds") == datetime(2026, 3, 2, tzinfo=timezone.utc).timestamp()
    assert get(series, "orgrecon_observations_total", verdict="PASS") == 8
    assert get(series, "orgrecon_observations_total", verdict="INCONCLUSIVE") == 0
    assert get(series, "orgrecon_scan_duration_seconds") == 1.5
    gate = {name: get(series, f"orgrecon_{name}") for name in ("streak_reports", "window_reports", "live_reports")}
    assert gate == {"streak_reports": 7, "window_reports": 7, "live_reports": 7}
    assert get(series, "orgrecon_gate_open") == 1


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE])
def test_exactly_one_verdict_is_published_as_1(verdict: Verdict) -> None:
    families = metric_families(snapshot(verdict), IDENTITY, ENTITIES)
    [verdicts] = [family for family in families if family.name == "orgrecon_day_verdict"]
    assert {sample.labels["verdict"]: sample.value for sample in verdicts.samples if sample.value} == {verdict.value: 1}


def test_inconclusive_day_publishes_nan_instead_of_zero() -> None:
    latest = day_observation(Verdict.INCONCLUSIVE, EntityTotals.unknown())
    undecided = MetricsSnapshot(ledger_up=True, window_days=7, latest=latest)
    families = metric_families(undecided, IDENTITY, ENTITIES)
    [drift] = [family for family in families if family.name == "orgrecon_drift_rows"]
    assert len(drift.samples) == len(ENTITIES) * len(DriftKind)
    assert all(math.isnan(sample.value) for sample in drift.samples)


def test_unreachable_ledger_closes_the_gate_and_keeps_the_last_figures() -> None:
    reachable = [True]

    def read() -> MetricsSnapshot:
        if not reachable[0]:
            raise RuntimeError("postgresql://user:secret@host/ledger is down")
        return snapshot()

    with exporting(read) as url:
        up = series_of(fetch(f"{url}/metrics"))
        reachable[0] = False
        text = fetch(f"{url}/metrics")
        reachable[0] = True
        recovered = series_of(fetch(f"{url}/metrics"))
    down = series_of(text)
    assert (get(up, "orgrecon_ledger_up"), get(up, "orgrecon_gate_open")) == (1, 1)
    assert (get(down, "orgrecon_ledger_up"), get(down, "orgrecon_gate_open")) == (0, 0)
    assert get(down, "orgrecon_drift_rows", entity="org_units", kind="mismatched") == 2
    assert down.keys() == up.keys()
    assert "secret" not in text
    assert get(recovered, "orgrecon_gate_open") == 1


def test_ledger_failure_is_logged_once_and_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Exception] = [
        RuntimeError("postgresql://user:secret@host"), RuntimeError("again"), ConfigurationError("the ledger is gone."),
    ]
    answers: list[Exception | MetricsSnapshot] = [errors[0], errors[1], snapshot(), errors[2]]

    def read() -> MetricsSnapshot:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    collector = EvidenceCollector(read, IDENTITY, ENTITIES, 7)
    for _ in range(4):
        collector.current()
    assert caplog.messages == ["cannot read the ledger: RuntimeError", "the ledger is gone."]


def test_ledger_that_never_answered_is_published_as_down_with_a_closed_gate() -> None:
    def read() -> MetricsSnapshot:
        raise OSError("no ledger")

    with exporting(read) as url:
        down = series_of(fetch(f"{url}/metrics"))
        assert fetch(f"{url}/healthz") == "ok\n"
    assert get(down, "orgrecon_ledger_up") == 0
    assert get(down, "orgrecon_gate_open") == 0
    assert get(down, "orgrecon_window_reports") == 7


def test_unknown_path_and_method_are_refused() -> None:
    with exporting(snapshot) as url:
        with pytest.raises(urllib.error.HTTPError, match="404"):
            fetch(f"{url}/")
        with pytest.raises(urllib.error.HTTPError, match="405"):
            urllib.request.urlopen(f"{url}/metrics", data=b"x", timeout=60)


def test_slow_scrape_does_not_block_the_probe() -> None:
    release = threading.Event()

    def read() -> MetricsSnapshot:
        release.wait(20)
        return snapshot()

    with exporting(read) as url:
        scrape = threading.Thread(target=fetch, args=(f"{url}/metrics",))
        scrape.start()
        try:
            assert fetch(f"{url}/healthz") == "ok\n"
            assert not release.is_set()
        finally:
            release.set()
            scrape.join()


def test_connection_beyond_the_limit_is_refused_until_another_one_ends() -> None:
    registry = make_registry(EvidenceCollector(snapshot, IDENTITY, ENTITIES, 7))
    with serving(make_exporter(registry, host="127.0.0.1", port=0, most_connections=2)) as url:
        address = ("127.0.0.1", int(url.rsplit(":", 1)[1]))
        silent = [socket.create_connection(address, timeout=60) for _ in range(2)]
        with pytest.raises(urllib.error.HTTPError, match="503"):
            fetch(f"{url}/healthz")
        silent[0].shutdown(socket.SHUT_WR)
        assert silent[0].recv(1) == b""  # the server has closed it
        wait_until(lambda: answers(f"{url}/healthz"))
        for connection in silent:
            connection.close()


def test_port_in_use_suggests_another_port() -> None:
    registry = make_registry(EvidenceCollector(snapshot, IDENTITY, ENTITIES, 7))
    with exporting(snapshot) as url, pytest.raises(ConfigurationError, match="choose another --port"):
        make_exporter(registry, host="127.0.0.1", port=int(url.rsplit(":", 1)[1]))


def test_sigterm_stops_the_exporter() -> None:
    program = (
        "from orgrecon_pipeline.metrics.collector import EvidenceCollector, make_registry\n"
        "from orgrecon_pipeline.metrics.exporter import make_exporter, serve\n"
        "from orgrecon_pipeline.metrics.snapshot import MetricsSnapshot\n"
        "from orgrecon_pipeline.domain.identity import Identity\n"
        "c = EvidenceCollector(lambda: MetricsSnapshot(ledger_up=True, window_days=7), Identity(), ['org_units'], 7)\n"
        "s = make_exporter(make_registry(c), host='127.0.0.1', port=0)\n"
        "print(s.server_port, flush=True)\n"
        "serve(s)\n"
    )
    with start_python(program) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert 'orgrecon_ledger_up{environment="",migration="org-v23"} 1.0' in _fetch_when_up(f"http://127.0.0.1:{port}/metrics")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


def _fetch_when_up(url: str) -> str:
    # The port is bound before serve() installs its signal handlers. The first answer shows that they are installed.
    deadline = time.monotonic() + 10
    while True:
        try:
            return fetch(url)
        except OSError:
            if time.monotonic() > deadline:
                raise


def test_textfile_is_replaced_atomically(tmp_path: Path) -> None:
    file = tmp_path / "orgrecon.prom"
    write_textfile(file, EvidenceCollector(snapshot, IDENTITY, ENTITIES, 7))
    before = file.read_bytes()
    write_textfile(file, EvidenceCollector(snapshot, IDENTITY, ENTITIES, 7))
    assert file.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["orgrecon.prom"]
    with pytest.raises(ConfigurationError, match="--textfile"):
        write_textfile(tmp_path / "nowhere" / "orgrecon.prom", EvidenceCollector(snapshot, IDENTITY, ENTITIES, 7))


@pytest.mark.parametrize("create", [os.mkfifo, lambda path: path.symlink_to("/dev/stdout")], ids=["pipe", "link"])
def test_textfile_never_replaces_what_is_no_regular_file(create: Callable[[Path], None], tmp_path: Path) -> None:
    file = tmp_path / "orgrecon.prom"
    create(file)
    before = file.lstat().st_mode
    with pytest.raises(ConfigurationError, match="not a regular file"):
        write_textfile(file, EvidenceCollector(snapshot, IDENTITY, ENTITIES, 7))
    assert file.lstat().st_mode == before


def test_promtool_accepts_the_metrics(tmp_path: Path) -> None:
    file = tmp_path / "orgrecon.prom"
    write_textfile(file, EvidenceCollector(snapshot, IDENTITY, ENTITIES, 7))
    checked = subprocess.run(
        [promtool(), "check", "metrics"], stdin=file.open(), capture_output=True, text=True, check=False
    )
    # The name is a gauge beside orgrecon_tenants_ready, not a counter; promtool would keep the suffix for counters.
    style = 'orgrecon_tenants_total non-counter metrics should not have "_total" suffix\n'
    assert (checked.returncode, checked.stdout + checked.stderr) == (3, style)
