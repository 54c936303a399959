"""Fixtures for ledgers on SQLite and on Postgres."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from orgrecon_pipeline.ledger.connection import engine
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.ledger.cases import ChildProcess, new_sqlite_ledger


@pytest.fixture(params=["sqlite", "postgres"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a ledger that does not exist yet, or of the fixture ``ledger`` if the test uses that too."""
    # The ledger of most tests is a copy, because running the migrations takes longer than such a test.
    copy = "ledger" in request.fixturenames
    if request.param == "sqlite":
        path = tmp_path / "ledger.db"
        if copy:
            new_sqlite_ledger(path)
        return f"sqlite:///{path}"
    new_database: Callable[..., str] = request.getfixturevalue("new_database")
    return new_database(request.getfixturevalue("ledger_template")) if copy else new_database()


@pytest.fixture
def ledger(ledger_url: str) -> Ledger:
    """An empty ledger."""
    return open_ledger(ledger_url)


@pytest.fixture
def kept_connection(ledger_template: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the connection to a ledger on Postgres open between its uses, for tests that use it very often.

    A new session reads the catalog again, which takes longer than most statements. The template must exist, because it
    cannot be copied while a connection to it is open.
    """
    create, engines = engine.create_engine, []

    def create_with_pool(url: sa.URL, **options: Any) -> sa.Engine:
        if url.get_backend_name() == "postgresql":
            options["poolclass"] = sa.QueuePool
        engines.append(create(url, **options))
        return engines[-1]

    monkeypatch.setattr(engine, "create_engine", create_with_pool)
    yield
    for used in engines:
        used.dispose()


@pytest.fixture
def both_ledgers(tmp_path: Path, new_database: Callable[..., str], ledger_template: str) -> tuple[Ledger, Ledger]:
    """An empty ledger on SQLite, and an empty ledger on Postgres."""
    return new_sqlite_ledger(tmp_path / "ledger.db"), open_ledger(new_database(ledger_template))


@pytest.fixture
def start_child(ledger_url: str) -> Iterator[Callable[..., ChildProcess]]:
    """``start_child(code, fresh=False)`` starts a child process; none outlives the test."""
    children: list[ChildProcess] = []

    def start(code: str, *, fresh: bool = False) -> ChildProcess:
        children.append(ChildProcess(ledger_url, code, fresh=fresh))
        return children[-1]

    yield start
    for child in children:
        child.kill()
