"""Fixtures for ledgers on SQLite and on Postgres."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.open import open_ledger
from orgrecon_pipeline_tests.support.ledger.cases import ChildProcess


@pytest.fixture(params=["sqlite", "postgres"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a ledger that does not exist yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    url: str = request.getfixturevalue("empty_database")
    return url


@pytest.fixture
def ledger(ledger_url: str) -> Ledger:
    """An empty ledger."""
    return open_ledger(ledger_url)


@pytest.fixture
def both_ledgers(tmp_path: Path, new_database: Callable[..., str]) -> tuple[Ledger, Ledger]:
    """An empty ledger on SQLite, and an empty ledger on Postgres."""
    return open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), open_ledger(new_database())


@pytest.fixture
def start_child(ledger_url: str) -> Iterator[Callable[[str], ChildProcess]]:
    """``start_child(code)`` starts a child process; none outlives the test."""
    children: list[ChildProcess] = []

    def start(code: str) -> ChildProcess:
        children.append(ChildProcess(ledger_url, code))
        return children[-1]

    yield start
    for child in children:
        child.kill()
