"""The surroundings of a command: encodings, a broken Dagster home, missing evidence, edited reports."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from orgrecon_pipeline_tests.support.cli.process import run, run_cases


def test_terminal_with_another_encoding_does_not_change_the_exit_code(tmp_path: Path) -> None:
    for encoding in ({"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}):
        code, out, err = run(tmp_path, "gate", **encoding)
        assert (code, err) == (1, ""), err
        assert "\\u" in out


@pytest.mark.parametrize("arguments", [
    ["gate"], ["gate", "--format", "json"], ["--help"], ["--version"], ["schema", "mapping"], ["report", "--baseline"],
])
def test_output_on_a_full_disk_is_no_verdict(arguments: list[str], tmp_path: Path) -> None:
    full = "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 1)"
    assert run(tmp_path, *arguments, program=full) == (3, "", (
        "orgrecon: cannot write the output (No space left on device): free some space, or write to another file.\n"))


@pytest.mark.parametrize(("streams", "arguments", "code"), [
    ((1, 2), ["gate"], 3),
    ((1, 2), ["report", "--baseline"], 3),
    ((1, 2), ["--help"], 3),
    ((2,), ["report", "--baseline"], 0),
    ((2,), ["report", "--date", "2020-01-01"], 2),
    ((2,), ["gate", "--unknown"], 2),
    ((2,), ["report", "--date", "2020-01-01", "--debug"], 2),
])
def test_log_on_a_full_disk_does_not_change_the_exit_code(
    streams: tuple[int, ...], arguments: list[str], code: int, tmp_path: Path
) -> None:
    full = f"import os; [os.dup2(os.open('/dev/full', os.O_WRONLY), stream) for stream in {streams}]"
    assert run(tmp_path, *arguments, program=full).code == code


def test_file_that_nobody_expected_to_fail_is_named(tmp_path: Path) -> None:
    (tmp_path / "of hunter2").touch()
    code, out, err = run(tmp_path, "--install-completion", "bash", HOME=str(tmp_path / "of hunter2"),
                         _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1", ORGRECON_SMTP_PASSWORD="hunter2")
    assert (code, out) == (3, "")
    assert err == f"orgrecon: cannot use {tmp_path}/of … (File exists): check its path, its permissions and its disk.\n"


def test_unusable_dagster_home_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text("storage: {postgres: {postgres_url: 'k4n4ry1'", encoding="utf-8")
    homes = ("nowhere", str(tmp_path / "nowhere"), str(tmp_path / "home"))
    for result in run_cases(tmp_path, [
        {"arguments": ["report", "--baseline", "--debug"], "environ": {"DAGSTER_HOME": home}} for home in homes
    ]):
        assert result.code == 2, result
        assert "the Dagster instance in DAGSTER_HOME cannot be used" in result.err.splitlines()[-1]
    (tmp_path / "home" / "dagster.yaml").unlink()


def test_gate_without_evidence_names_the_missing_directory_or_ledger(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    cases: dict[str, tuple[list[str], dict[str, str]]] = {
        "nowhere does not exist: check --output-dir": (["--output-dir", "nowhere"], {}),
        "empty contains no report: check --output-dir": (["--output-dir", "empty"], {}),
        "there is no ledger, and nowhere does not exist: run orgrecon report once, or check ORGRECON_LEDGER_URL": (
            [], {"ORGRECON_OUTPUT_DIR": "nowhere", "ORGRECON_LEDGER_URL": "sqlite:///gone.db"}),
    }
    results = run_cases(tmp_path, [{"arguments": ["gate", "--format", "json", *arguments], "environ": environ}
                                   for arguments, environ in cases.values()])
    for reason, result in zip(cases, results, strict=True):
        assert (result.code, json.loads(result.out)["reason"], result.err) == (1, reason, "")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_edited_report_is_named_by_runs_of_other_days_and_rewritten_by_its_own(tmp_path: Path) -> None:
    days = [f"{datetime.now(timezone.utc) - timedelta(days=back):%F}" for back in (2, 1)]
    first, second = [{"arguments": ["report", "--baseline", "--output-dir", "trail", "--date", day], "environ": {}}
                     for day in days]
    assert [result.err for result in run_cases(tmp_path, [first, second])] == ["", ""]
    edited = tmp_path / "trail" / f"{days[0]}.md"
    edited.write_text(edited.read_text("utf-8").replace("PASS", "FAIL"), "utf-8")
    other, own = run_cases(tmp_path, [second, first])
    assert other.code == 0
    assert f"{edited.name} " in other.err
    assert len(other.err.splitlines()) == 1
    assert (own.code, own.err) == (0, "")
