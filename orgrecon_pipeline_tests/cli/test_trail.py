"""A trail in which reports of earlier days arrive late, from the command line."""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from orgrecon_pipeline_tests.support.cli.process import CommandResult, run_cases

DAYS = [f"{datetime.now(timezone.utc) - timedelta(days=back):%F}" for back in (3, 2, 1, 0)]


def commands(directory: Path, *lines: list[str]) -> list[CommandResult]:
    return run_cases(directory, [{"arguments": line, "environ": {}} for line in lines])


@pytest.fixture
def merged_late(tmp_path: Path) -> Path:
    """A trail of three baselines, each written by a run that knew of no other."""
    for day in DAYS[:3]:
        (tmp_path / day).mkdir()
        [done] = commands(tmp_path / day, ["report", "--baseline", "--date", day, "--output-dir", "../trail"])
        assert (done.code, done.err) == (0, "")
        shutil.move(tmp_path / "trail" / f"{day}.md", tmp_path / f"{day}.md")
    for day in DAYS[:3]:
        shutil.move(tmp_path / f"{day}.md", tmp_path / "trail" / f"{day}.md")
    return tmp_path


def test_outdated_reports_are_sound_and_the_next_report_renders_them_again(merged_late: Path) -> None:
    verify, gate = ["verify", "trail", "--format", "json"], ["gate", "--output-dir", "trail", "--format", "json"]
    text, before, gate_before, report, after, gate_after = commands(
        merged_late, ["verify", "trail"], verify, gate,
        ["report", "--baseline", "--date", DAYS[3], "--output-dir", "trail"], verify, gate)
    assert text.code == before.code == 0
    assert text.out.splitlines()[-1] == "sound: 3 reports, 0 findings, 2 outdated"
    assert text.out.count("outdated: trail/") == 2
    assert json.loads(before.out)["states"] == dict.fromkeys(DAYS[1:3], "outdated") | {DAYS[0]: "sound"}
    assert (report.code, report.err.count("so it was rendered again")) == (0, 2)
    assert (after.code, json.loads(after.out)["states"]) == (0, dict.fromkeys(DAYS, "sound"))
    for answer, streak in ((gate_before, 3), (gate_after, 4)):
        assert json.loads(answer.out)["reason_code"] == "streak_too_short"
        assert json.loads(answer.out)["streak_days"] == streak


def test_import_and_render_refresh_the_output_directory(merged_late: Path) -> None:
    shutil.copytree(merged_late / "trail", merged_late / "copy")
    trail, copy = {"ORGRECON_OUTPUT_DIR": "trail"}, {"ORGRECON_OUTPUT_DIR": "copy"}
    imported, verified, rendered, verified_copy = run_cases(merged_late, [
        {"arguments": arguments, "environ": environ} for arguments, environ in (
            (["import", "trail"], trail), (["verify", "trail"], {}),
            (["render", DAYS[0], DAYS[2]], copy), (["verify", "copy"], {}))])
    assert (imported.code, imported.err.count("so it was rendered again")) == (0, 2)
    assert verified.out == verified_copy.out == "sound: 3 reports, 0 findings\n"
    assert rendered.code == 0


def test_sync_of_outdated_reports_names_them_and_exits_0(merged_late: Path) -> None:
    done, verified = commands(merged_late, ["sync", "trail", "other"], ["verify", "other"])
    assert (done.code, done.err.count("outdated: ")) == (0, 2)
    assert verified.code == 0
