"""Fixtures of the command line tests: the command in this process, and a check for passwords in files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orgrecon_pipeline.cli.app import main
from orgrecon_pipeline_tests.support.cli.process import CommandResult
from orgrecon_pipeline_tests.support.schemas import require_valid_output
from orgrecon_pipeline_tests.support.secret_canary import files_with_password


@pytest.fixture(autouse=True)
def _no_file_contains_the_password(tmp_path: Path) -> Iterator[None]:
    yield
    assert list(files_with_password(tmp_path)) == []


@pytest.fixture
def orgrecon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., CommandResult]:
    """``orgrecon(*arguments)`` runs the command in this process, in the directory of the test."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> CommandResult:
        with pytest.raises(SystemExit) as error:
            main(arguments)
        result = CommandResult(error.value.code, *capsys.readouterr())
        require_valid_output(arguments, result.out, tmp_path)
        return result

    return run
