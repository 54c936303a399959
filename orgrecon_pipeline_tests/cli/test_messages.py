"""What a command says is wrong is what is wrong, and what it says to do helps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timezone
from pathlib import Path

import pytest

from orgrecon_pipeline.cli.app import main
from orgrecon_pipeline.demo.story import DEFAULT_DIRECTORY
from orgrecon_pipeline.domain.evidence import EntityTotals, Observation, Provenance, Verdict
from orgrecon_pipeline.ledger.open import open_ledger

DAY = date(2026, 3, 2)
Notified = Callable[..., tuple[int, str]]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Notified:
    """``told(*arguments)`` runs a command that fails, in a directory of its own: its exit code, and its one line."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        said = capsys.readouterr().err
        assert said.count("\n") == 1, said
        assert isinstance(ended.value.code, int)
        return ended.value.code, said

    return run


def keep_a_day(place: Path) -> None:
    """A ledger that holds one clean day."""
    open_ledger(f"sqlite:///{place / '.orgrecon' / 'ledger.db'}").append(Observation(
        id="a", day=DAY, provenance=Provenance.LIVE, verdict=Verdict.PASS, reason="Zero drift.",
        observed_at=datetime(2026, 3, 2, 8, tzinfo=timezone.utc), mapping_digest="d", orgrecon_version="0",
        tenants_scanned=4, tenants_with_drift=0, compared={},
        entities={"org_units": EntityTotals.zero(), "org_unit_memberships": EntityTotals.zero()},
    ), (), (), ())


def test_a_directory_that_cannot_be_written_is_a_configuration_error_everywhere(told: Notified, tmp_path: Path) -> None:
    keep_a_day(tmp_path)
    with pytest.raises(SystemExit, match="0"):
        main(["render", str(DAY), "--output-dir", "trail"])
    for command in (["render", str(DAY), "--output-dir", "/proc/orgrecon"], ["sync", "trail", "/proc/orgrecon"],
                    ["report", "--baseline", "--output-dir", "/proc/orgrecon"]):
        code, said = told(*command)
        assert code == 2, said
        assert "/proc/orgrecon cannot be written to" in said
        assert "permit it, or name another directory" in said


def test_a_demo_goes_where_there_is_nothing_but_an_earlier_one(told: Notified, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    for place in ("file", "file/demo", "/proc/orgrecon"):
        code, said = told("demo", "--directory", place)
        assert code == 2, said
        assert "name another --directory" in said
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thing").touch()
    code, said = told("demo", "--directory", "full")
    assert (code, "name an empty --directory" in said) == (2, True)
    assert (tmp_path / "file").read_text() == "precious"


def test_the_help_of_the_demo_says_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["demo", "--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert f"by default ./{DEFAULT_DIRECTORY}; emptied at each run" in shown


def test_acknowledge_without_a_comparison_says_that_there_is_none(told: Notified, tmp_path: Path) -> None:
    assert "no complete comparison" in told("acknowledge", "--reason", "meant to be so")[1]
    keep_a_day(tmp_path)
    assert "covers all that was seen before" in told("acknowledge", "--reason", "meant to be so")[1]
    for day, words in (("9000-01-01", "is in the future"), (str(DAY), f"of a database restored to {DAY} yet")):
        code, said = told("acknowledge", "--reason", "meant to be so", "--date", day)
        assert (code, words in said) == (2, True), said


@pytest.mark.parametrize("command", ["acknowledge", "accept-source"])
def test_a_reason_that_is_none_is_told_first(told: Notified, command: str) -> None:
    assert "--reason is too short" in told(command, "--reason", "   ")[1]


@pytest.mark.parametrize("host", ["nohost.invalid", "192.0.2.1"])
def test_a_host_that_is_not_here_is_told_from_a_port_that_is_taken(told: Notified, host: str) -> None:
    code, said = told("exporter", "--host", host)
    assert code == 2
    assert "choose another --host" in said


def test_nobody_is_sent_to_observe_a_past_day(told: Notified, tmp_path: Path) -> None:
    assert "run orgrecon report first" in told("repair-sql")[1]
    for prepare in (lambda: None, lambda: keep_a_day(tmp_path)):
        prepare()
        code, said = told("repair-sql", "--date", str(DAY))
        assert code == 2
        assert "run orgrecon report" not in said
    assert "under another mapping: name that one with --mapping" in said
    assert "is in the future" in told("repair-sql", "--date", "9000-01-01")[1]
