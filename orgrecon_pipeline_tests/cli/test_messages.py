"""Error messages: what is wrong, and a remedy that works."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timezone
from pathlib import Path

import pytest

from orgrecon_pipeline.demo.scenario import DEFAULT_DIRECTORY
from orgrecon_pipeline.domain.evidence import EntityTotals, Observation, Provenance, Verdict
from orgrecon_pipeline_tests.support.cli.process import CommandResult
from orgrecon_pipeline_tests.support.default_identity import open_ledger

DAY = date(2026, 3, 2)
Command = Callable[..., CommandResult]


@pytest.fixture
def error(orgrecon: Command) -> Callable[..., str]:
    """``error(*arguments)`` runs a command that must exit with 2, and returns its only line."""

    def run(*arguments: str) -> str:
        result = orgrecon(*arguments)
        assert (result.code, result.err.count("\n")) == (2, 1), result
        return result.err

    return run


def store_clean_day(directory: Path) -> None:
    """Create a ledger with one clean day."""
    open_ledger(f"sqlite:///{directory / '.orgrecon' / 'ledger.db'}").append(Observation(
        id="a", title="Org Model v2.3", ledger="0123456789abcdef",
        day=DAY, provenance=Provenance.LIVE, verdict=Verdict.PASS, reason="Zero drift.",
        reason_code="unknown", reason_parameters={},
        observed_at=datetime(2026, 3, 2, 8, tzinfo=timezone.utc), mapping_digest="d", orgrecon_version="0",
        tenants_scanned=4, tenants_with_drift=0, compared={},
        entities={"org_units": EntityTotals.zero(), "org_unit_memberships": EntityTotals.zero()},
    ), (), (), ())


def test_output_directory_that_is_not_writable_is_a_configuration_error(
    error: Callable[..., str], orgrecon: Command, tmp_path: Path
) -> None:
    store_clean_day(tmp_path)
    assert orgrecon("render", str(DAY), "--output-dir", "trail").code == 0
    for command in (["render", str(DAY), "--output-dir", "/proc/orgrecon"], ["sync", "trail", "/proc/orgrecon"],
                    ["report", "--baseline", "--output-dir", "/proc/orgrecon"]):
        message = error(*command)
        assert "/proc/orgrecon cannot be written to" in message
        assert "grant the permission, or choose another directory" in message


@pytest.mark.parametrize(("command", "alternative"), [
    (["init"], ""),
    (["doctor"], ""),
    (["diff", "--tenant", "a"], ""),
    (["report", "--restored", "--date", str(DAY)], ""),
    (["report"], ", or use --baseline if there is no database yet"),
])
def test_database_that_is_not_named_is_asked_for_with_the_options_of_the_command(
    error: Callable[..., str], monkeypatch: pytest.MonkeyPatch, command: list[str], alternative: str
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    assert error(*command) == ("orgrecon: DATABASE_URL is not set: set it to "
                               f"postgresql://user:password@host:5432/database{alternative}.\n")


def test_demo_refuses_a_directory_with_other_files(error: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    for directory in ("file", "file/demo", "/proc/orgrecon"):
        assert "choose another --directory" in error("demo", "--directory", directory)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thing").touch()
    assert "choose an empty --directory" in error("demo", "--directory", "full")
    assert (tmp_path / "file").read_text() == "precious"


def test_demo_help_names_the_default_directory(orgrecon: Command) -> None:
    result = orgrecon("demo", "--help")
    assert result.code == 0
    text = " ".join(result.out.replace("│", " ").split())
    assert f"(default: ./{DEFAULT_DIRECTORY})" in text


def test_acknowledge_without_a_matching_comparison_is_refused(error: Callable[..., str], tmp_path: Path) -> None:
    command = ("acknowledge", "--reason", "meant to be so")
    assert "no complete comparison" in error(*command)
    store_clean_day(tmp_path)
    assert "lost no coverage" in error(*command)
    assert "is in the future" in error(*command, "--date", "9000-01-01")
    assert f"of a database restored to {DAY} yet" in error(*command, "--date", str(DAY))


@pytest.mark.parametrize("command", ["acknowledge", "accept-source"])
def test_blank_reason_is_refused(error: Callable[..., str], command: str) -> None:
    assert "--reason is too short" in error(command, "--reason", "   ")


@pytest.mark.parametrize("host", ["nohost.invalid", "192.0.2.1"])
def test_exporter_on_a_foreign_host_names_the_host_option(error: Callable[..., str], host: str) -> None:
    assert "choose another --host" in error("exporter", "--host", host)


def test_repair_sql_of_a_past_day_does_not_suggest_a_new_report(error: Callable[..., str], tmp_path: Path) -> None:
    assert "run orgrecon report first" in error("repair-sql")
    assert "run orgrecon report" not in error("repair-sql", "--date", str(DAY))
    store_clean_day(tmp_path)
    message = error("repair-sql", "--date", str(DAY))
    assert "run orgrecon report" not in message
    assert "under another mapping: name that mapping with --mapping" in message
    assert "is in the future" in error("repair-sql", "--date", "9000-01-01")
