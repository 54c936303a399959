"""``orgrecon demo``: its reports, and the metrics that its application publishes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from orgrecon_pipeline.cli.app import main
from orgrecon_pipeline.cli.demo_command import program_as_started
from orgrecon_pipeline_tests.support.default_identity import read_report
from orgrecon_pipeline_tests.support.environ import inherited_environ
from orgrecon_pipeline_tests.support.python_process import ORGRECON, start_python, write_orgrecon_program

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
    assert ("\nnext: ORGRECON_LEDGER_URL=sqlite:///demo/ledger.db ORGRECON_MAPPING=demo/orgrecon.yaml "
            f"{sys.executable} -m orgrecon_pipeline drift --tenant ") in output
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


def test_next_command_of_the_demo_works_in_a_shell_with_settings_of_its_own(tmp_path: Path) -> None:
    own_settings = {"ORGRECON_ENVIRONMENT": "prod", "ORGRECON_MAPPING": "nowhere.yaml",
                    "ORGRECON_LEDGER_URL": "sqlite:///nowhere.db"}
    (tmp_path / ".venv/bin").mkdir(parents=True)
    write_orgrecon_program(tmp_path / ".venv/bin/orgrecon")
    shell = {"env": {**inherited_environ(), **own_settings}, "cwd": tmp_path}
    code = f"import sys; sys.argv[0] = '.venv/bin/orgrecon'; {ORGRECON}"
    with start_python(code, "demo", "--directory", "a demo", **shell) as demo:
        output, errors = demo.communicate(timeout=240)
    assert demo.returncode == 0, errors
    [command] = re.findall("^next: (.*)$", output, re.MULTILINE)
    assert command.startswith(
        "ORGRECON_LEDGER_URL='sqlite:///a demo/ledger.db' ORGRECON_MAPPING='a demo/orgrecon.yaml' "
        "ORGRECON_ENVIRONMENT='' .venv/bin/orgrecon drift --tenant ")
    pasted = subprocess.run(["bash", "-c", command], capture_output=True, encoding="utf-8", timeout=60, **shell)
    assert (pasted.returncode, pasted.stderr) == (1, "")
    assert f" {command.split()[-1]} " in pasted.stdout


@pytest.mark.parametrize(("started", "on_path", "shown"), [
    (".venv/bin/orgrecon", "", ".venv/bin/orgrecon"),
    ("{folder}/.venv/bin/orgrecon", "", ".venv/bin/orgrecon"),
    ("{folder}/.venv/bin/orgrecon", "{folder}/.venv/bin", "orgrecon"),
    ("{folder}/.venv/bin/orgrecon", "{folder}/other", ".venv/bin/orgrecon"),
    ("orgrecon", "", "./orgrecon"),
    ("{folder}/../a folder/orgrecon", "", "'{parent}/a folder/orgrecon'"),
    ("{folder}/orgrecon_pipeline/__main__.py", "", "{python} -m orgrecon_pipeline"),
])
def test_program_is_shown_as_it_was_started(
    started: str, on_path: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here"
    for program in (".venv/bin/orgrecon", "other/orgrecon", "orgrecon", "../a folder/orgrecon"):
        (folder / program).parent.mkdir(parents=True, exist_ok=True)
        (folder / program).touch(mode=0o755)
    names = {"folder": folder, "parent": tmp_path, "python": sys.executable}
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", [started.format(**names), "demo"])
    monkeypatch.setenv("PATH", on_path.format(**names))
    assert program_as_started() == shown.format(**names)
