"""Values of options: days, and the number of live days."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.domain.mapping.model import GateSettings
from orgrecon_pipeline_tests.support.cli.process import CommandResult, run

Command = Callable[..., CommandResult]


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Kiritimati"])
def test_default_day_is_utc_in_any_time_zone(tmp_path: Path, zone: str) -> None:
    before = datetime.now(timezone.utc).date()
    assert run(tmp_path, "report", "--baseline", "--output-dir", "trail", TZ=zone).code == 0
    [path] = (tmp_path / "trail").iterdir()
    assert path.stem in (str(before), str(datetime.now(timezone.utc).date()))


@pytest.mark.parametrize("date", [
    "20260101", "2026-W01-1", "٢٠٢٦-٠١-٠١", "2026-01-01\n", "../2026-01-01", "2027-02-29", "2026-1-1", "",
    " 2026-01-01", "2026-01-01T00:00:00", "today",
])
@pytest.mark.parametrize("command", [["report", "--baseline"], ["gate"]])
def test_malformed_date_is_refused(date: str, command: list[str], orgrecon: Command, tmp_path: Path) -> None:
    result = orgrecon(*command, "--date", date)
    assert result.code == 2
    assert "is not a day" in result.err
    assert len(result.err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("command", "message"), [
    (["verify", "--format", "xml"], "Invalid value for '--format': 'xml' is not one of 'text', 'json'"),
    (["schema", "ledger"], "Invalid value for 'NAME': 'ledger' is not one of 'mapping', 'record', 'gate', 'drift'"),
    (["compare"], "No such command 'compare'"),
    (["gate", "--format"], "Option '--format' requires an argument"),
])
def test_wrong_argument_is_one_line_without_internals(command: list[str], message: str, orgrecon: Command) -> None:
    result = orgrecon(*command)
    assert (result.code, result.err) == (2, f"orgrecon: {message} (see orgrecon --help)\n")


@pytest.mark.parametrize("value", ["x", "-1"])
def test_wrong_number_is_one_line_that_names_the_option(value: str, orgrecon: Command) -> None:
    result = orgrecon("gate", f"--require-live={value}")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert result.err.startswith("orgrecon: Invalid value for '--require-live': ")
    assert "Input should" not in result.err


@pytest.mark.parametrize(("date", "code"), [
    ("0001-01-01", 2), ("0002-12-31", 2), ("0003-01-01", 1), ("9997-12-31", 1), ("9998-01-01", 2), ("9999-12-31", 2),
])
def test_gate_at_the_ends_of_the_calendar_is_closed_or_refused(
    date: str, code: int, orgrecon: Command, tmp_path: Path
) -> None:
    mapping = default_mapping().model_copy(update={"gate": GateSettings(window_days=366)})
    (tmp_path / "longest.yaml").write_text(mapping.model_dump_json(by_alias=True, exclude_none=True), encoding="utf-8")
    result = orgrecon("gate", "--date", date, "--mapping", "longest.yaml")
    assert (result.code, len(result.err.strip().splitlines())) == (code, int(code == 2))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("source", [[], ["--output-dir", "."], ["--dagster-url", "http://127.0.0.1:1"]])
def test_requiring_more_live_days_than_the_window_has_is_refused(source: list[str], orgrecon: Command) -> None:
    accepted, refused = (orgrecon("gate", "--require-live", str(days), *source) for days in (7, 8))
    assert (accepted.code, accepted.err) == (1, "")
    assert (refused.code, refused.err) == (
        2, "orgrecon: --require-live 8 exceeds the window of 7 days, so the gate could never open: "
           "use 7 or less, or raise gate.window_days in the mapping.\n")
