"""One cache of compiled statements for all ledgers of a process, as if it used one ledger.

A program has one or two ledgers, and SQLAlchemy compiles each statement once for each. Every test has a new ledger, and
compiling would take a third of its time.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, create_engine, event

from orgrecon_pipeline.ledger.connection import engine as ledger_engine

_first: dict[Any, Engine] = {}


def share_compiled_statements() -> None:
    """Let all engines of one kind of database and version use the dialect and the cache of the first."""
    ledger_engine.create_engine = _create_engine  # type: ignore[attr-defined]


def _create_engine(*arguments: Any, **options: Any) -> Engine:
    engine = create_engine(*arguments, **options)

    # Here the dialect knows the version of the server.
    @event.listens_for(engine, "connect", once=True)
    def share(*_: object) -> None:
        first = _first.setdefault((type(engine.dialect), engine.dialect.server_version_info), engine)
        engine.dialect, engine._compiled_cache = first.dialect, first._compiled_cache

    return engine
