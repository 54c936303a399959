"""Fixtures of the repair tests: the demo's company, or tables of a test, with a ledger."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline_tests.support.repair.scenario import (
    CompanyScenario,
    MakeTables,
    RepairScenario,
    entity,
    table_scenario,
)

Connect = Callable[[str], psycopg.Connection[Any]]


@pytest.fixture
def company(seeded_database: str, connect: Connect, tmp_path: Path) -> CompanyScenario:
    """Twelve tenants without drift."""
    return CompanyScenario(connect(seeded_database), seeded_database, tmp_path)


@pytest.fixture
def make_tables(empty_database: str, connect: Connect, tmp_path: Path) -> MakeTables:
    """``make_tables(ddl, name=entity(), ...)`` creates tables and returns a scenario over these entities."""

    def make(ddl: str, **entities: Any) -> RepairScenario:
        admin = connect(empty_database)
        admin.execute(ddl.encode())
        return table_scenario(admin, empty_database, tmp_path, entities or {"e": entity()})

    return make
