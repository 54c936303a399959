"""``orgrecon exporter`` and ``orgrecon metrics`` as the processes that are really started."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timezone
from pathlib import Path

import pytest

from orgrecon_pipeline.domain.evidence import EntityTotals, Observation, Provenance, Verdict
from orgrecon_pipeline.ledger.open import open_ledger

ORGRECON = [sys.executable, "-m", "orgrecon_pipeline"]
CANARY = "s3cr3t-c4n4ry"


def environ(home: Path, **more: str) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": str(home), **more}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with a ledger that holds one FAIL."""
    ledger = open_ledger(f"sqlite:///{tmp_path / '.orgrecon' / 'ledger.db'}")
    totals = EntityTotals.zero().model_copy(update={"missing": 3})
    ledger.append(Observation(
        id="a", day=date(2026, 3, 2), provenance=Provenance.LIVE, verdict=Verdict.FAIL, reason="3 drifting keys.",
        observed_at=datetime(2026, 3, 2, 8, tzinfo=timezone.utc), mapping_digest="d", orgrecon_version="0",
        tenants_scanned=4, tenants_with_drift=1, compared={},
        entities={"org_units": totals, "org_unit_memberships": EntityTotals.zero()},
    ), (), (), ())
    return tmp_path


@contextmanager
def exporter(home: Path, **more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [*ORGRECON, "exporter", "--port", "0", "--host", "127.0.0.1"], cwd=home, env=environ(home, **more), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    try:
        assert process.stderr
        found = re.fullmatch(r"orgrecon: metrics at (http://127\.0\.0\.1:\d+)/metrics\n", process.stderr.readline())
        assert found
        yield process, found[1]
    finally:
        process.kill()
        process.wait()


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_the_ledger_until_it_is_told_to_end(home: Path, number: signal.Signals) -> None:
    with exporter(home) as (process, url):
        served = fetch(f"{url}/metrics")
        assert "orgrecon_ledger_up 1.0" in served
        assert 'orgrecon_drift_rows{entity="org_units",kind="missing"} 3.0' in served
        assert fetch(f"{url}/healthz") == "ok\n"
        process.send_signal(number)
        out, rest = process.communicate(timeout=20)
    assert (process.returncode, out, rest) == (0, "", "")


def test_a_ledger_that_is_not_there_is_published_and_named_without_its_url(tmp_path: Path) -> None:
    url_of_ledger = f"postgresql://user:{CANARY}@127.0.0.1:1/ledger"
    with exporter(tmp_path, ORGRECON_LEDGER_URL=url_of_ledger) as (process, url):
        assert "orgrecon_ledger_up 0.0" in fetch(f"{url}/metrics")
        assert fetch(f"{url}/healthz") == "ok\n"
        process.terminate()
        out, rest = process.communicate(timeout=20)
    assert process.returncode == 0
    assert CANARY not in out + rest


def test_a_port_that_is_taken_is_one_line_and_a_configuration_error(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = subprocess.run([*ORGRECON, "exporter", "--host", "127.0.0.1", "--port", port], cwd=home,
                               env=environ(home), capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert f"127.0.0.1:{port}" in ended.stderr
    assert "choose another --port" in ended.stderr


def test_the_textfile_says_what_the_exporter_says(home: Path) -> None:
    ended = subprocess.run([*ORGRECON, "metrics", "--textfile", "o.prom"], cwd=home, env=environ(home),
                           capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    with exporter(home) as (_, url):
        assert (home / "o.prom").read_text() == fetch(f"{url}/metrics")
