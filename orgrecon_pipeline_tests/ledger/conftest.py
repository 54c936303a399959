"""A ledger on each of its two databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.open import open_ledger
from orgrecon_pipeline_tests.support.ledger.cases import Child


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
def both(tmp_path: Path, new_database: Callable[..., str]) -> tuple[Ledger, Ledger]:
    """An empty ledger on SQLite, and one on Postgres."""
    return open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), open_ledger(new_database())


@pytest.fixture
def child(ledger_url: str) -> Iterator[Callable[[str], Child]]:
    """``child(code)`` starts a process beside this one; none outlives the test."""
    started: list[Child] = []

    def start(code: str) -> Child:
        started.append(Child(ledger_url, code))
        return started[-1]

    yield start
    for one in started:
        one.kill()
