"""``orgrecon demo``: its reports, and the metrics that its application publishes."""

from __future__ import annotations

import os
import re
import urllib.request
from pathlib import Path

import pytest

from orgrecon_pipeline.cli.app import main
from orgrecon_pipeline_tests.support.default_identity import read_report
from orgrecon_pipeline_tests.support.python_process import ORGRECON, start_python

SERIES = re.compile(r'^dualwrite_writes_total\{entity="(\w+)",outcome="(\w+)",side="(\w+)"\} (\S+)$', re.MULTILINE)

URL = re.compile(r"http://127\.0\.0\.1:\d+/metrics")


@pytest.mark.timeout(30)
@pytest.mark.parametrize("port", ["0", "99999"])
def test_demo_with_invalid_port_is_refused_before_it_writes_a_file(
    port: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        main(["demo", "--ui", "--port", port, "--directory", str(tmp_path / "demo")])
    assert exited.value.code == 2
    assert "'--port'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def writes(text: str) -> dict[tuple[str, str, str], float]:
    """Return the number of writes by entity, side and outcome."""
    return {(entity, side, outcome): float(count) for entity, outcome, side, count in SERIES.findall(text)}


def test_demo_writes_seven_reports_and_publishes_dual_write_metrics(tmp_path: Path) -> None:
    configuration = ("ORGRECON", "DAGSTER", "DATABASE")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(configuration)}
    with start_python(ORGRECON, "demo", "--directory", str(tmp_path / "demo"), env=environ, cwd=tmp_path) as demo:
        assert demo.stderr is not None
        url = next(match[0] for line in demo.stderr if (match := URL.search(line)))
        with urllib.request.urlopen(url, timeout=60) as response:
            live = writes(response.read().decode())
        output, errors = demo.communicate(timeout=240)
    assert demo.returncode == 0, errors
    assert "38 keys drift in 4 of 40 tenants." in output
    reports = [read_report(path) for path in sorted((tmp_path / "demo/reports").glob("2*.md"))]
    assert [report.verdict.value for report in reports] == ["PASS"] * 6 + ["FAIL"]
    after = writes((tmp_path / "demo/dualwrite.prom").read_text())
    assert live.keys() == after.keys() == {
        (entity, side, outcome) for entity in ("org_units", "org_unit_memberships")
        for side in ("source", "target") for outcome in ("success", "failure")
    }
    for entity in ("org_units", "org_unit_memberships"):
        assert 0 < after[entity, "source", "success"] == after[entity, "target", "success"]
        assert live[entity, "source", "success"] <= after[entity, "source", "success"]
        assert after[entity, "source", "failure"] == after[entity, "target", "failure"] == 0
