"""The commands ``orgrecon exporter`` and ``orgrecon metrics``, run as processes."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.ledger.cases import observation, totals
from orgrecon_pipeline_tests.support.python_process import ORGRECON, run_python, start_python

CANARY = "s3cr3t-c4n4ry"


def environ(home: Path, **more: str) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": str(home), **more}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with a ledger that holds one FAIL."""
    ledger = open_ledger(f"sqlite:///{tmp_path / '.orgrecon' / 'ledger.db'}")
    ledger.append(observation("a", date(2026, 3, 2), Verdict.FAIL, entities={
        "org_units": totals(missing=3), "org_unit_memberships": totals()}), (), (), ())
    return tmp_path


@contextmanager
def exporter(home: Path, **more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = start_python(
        ORGRECON, "exporter", "--port", "0", "--host", "127.0.0.1", cwd=home, env=environ(home, **more))
    try:
        assert process.stderr
        line = process.stderr.readline()
        match = re.fullmatch(r"orgrecon: metrics at (http://127\.0\.0\.1:\d+)/metrics, the gate at .*/gate\n", line)
        assert match
        yield process, match[1]
    finally:
        process.kill()
        process.wait()


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read().decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_exporter_serves_the_ledger_until_a_signal_stops_it(home: Path, number: signal.Signals) -> None:
    with exporter(home) as (process, url):
        text = fetch(f"{url}/metrics")
        assert 'orgrecon_ledger_up{environment="",migration="org-v23"} 1.0' in text
        assert 'orgrecon_drift_rows{entity="org_units",environment="",kind="missing",migration="org-v23"} 3.0' in text
        assert fetch(f"{url}/healthz") == "ok\n"
        process.send_signal(number)
        out, rest = process.communicate(timeout=60)
    assert (process.returncode, out, rest) == (0, "", "")


def test_exporter_without_a_ledger_publishes_it_as_down_and_hides_its_url(tmp_path: Path) -> None:
    ledger_url = f"postgresql://user:{CANARY}@127.0.0.1:1/ledger"
    with exporter(tmp_path, ORGRECON_LEDGER_URL=ledger_url) as (process, url):
        assert 'orgrecon_ledger_up{environment="",migration="org-v23"} 0.0' in fetch(f"{url}/metrics")
        assert fetch(f"{url}/healthz") == "ok\n"
        process.terminate()
        out, rest = process.communicate(timeout=60)
    assert process.returncode == 0
    assert CANARY not in out + rest


def test_exporter_with_a_port_in_use_exits_2_with_one_line(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        port = str(occupied.getsockname()[1])
        done = run_python(ORGRECON, "exporter", "--host", "127.0.0.1", "--port", port, cwd=home, env=environ(home))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert "choose another --port" in done.stderr


def test_textfile_equals_the_answer_of_the_exporter(home: Path) -> None:
    done = run_python(ORGRECON, "metrics", "--textfile", "o.prom", cwd=home, env=environ(home))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with exporter(home) as (_, url):
        assert (home / "o.prom").read_text() == fetch(f"{url}/metrics")
