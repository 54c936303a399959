"""Fixtures: a simulated company, and Dagster instances for it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest

from orgrecon_pipeline.demo.company import mark_simulated, seed
from orgrecon_pipeline_tests.support.defs.host import DEPLOYED, Host
from orgrecon_pipeline_tests.support.defs.processes import INSTANCE
from orgrecon_pipeline_tests.support.defs.world import World, environment


@pytest.fixture
def world(
    company_database: str, connect: Callable[[str], psycopg.Connection[Any]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    """Six tenants without drift, marked as simulated, and an empty ledger."""
    admin = connect(company_database)
    seed(admin, tenants=6, users_per_tenant=6)
    mark_simulated(admin)
    return prepared(World(admin, environment(tmp_path, company_database), tmp_path), monkeypatch)


@pytest.fixture
def bare_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """An empty ledger and a clock, without a database to compare."""
    return prepared(World(None, environment(tmp_path, "postgresql://nobody@nowhere/none"), tmp_path), monkeypatch)


def prepared(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    world.write_mapping()
    for name, value in world.environ.items():
        if name.startswith(("ORGRECON_", "DATABASE_URL")):
            monkeypatch.setenv(name, value)  # Dagster resolves EnvVar from the process
    return world


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance that stores nothing."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``DAGSTER_HOME`` of an instance on SQLite."""
    directory = tmp_path / "home"
    directory.mkdir()
    (directory / "dagster.yaml").write_text(INSTANCE, encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(directory))
    return directory


@pytest.fixture
def host(
    world: World, new_database: Callable[..., str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Host]:
    """The company, and Dagster as deployed on a host, with sensors that run every ten seconds."""
    shutil.copy(DEPLOYED, home / "dagster.yaml")
    first = datetime.now(timezone.utc).date() - timedelta(days=40)
    # The daemon looks every five seconds which sensors are due. To evaluate all of them takes a second of CPU time.
    world.environ |= {
        "DAGSTER_HOME": str(home), "ORGRECON_SENSOR_SECONDS": "8", "ORGRECON_START_DATE": str(first),
        "DAGSTER_PG_URL": new_database().replace("postgresql://", "postgresql+psycopg2://"),
    }
    for name in ("DAGSTER_PG_URL", "ORGRECON_START_DATE"):
        monkeypatch.setenv(name, world.environ[name])
    with dg.DagsterInstance.get() as instance:
        yield Host(world, home, instance)


@pytest.fixture
def new_clone() -> Iterator[Path]:
    """A directory with the files of this repository that ``dagster dev`` needs, and nothing else.

    It is outside of pytest's directory, which PostgreSQL, running as another user than root, cannot enter.
    """
    root = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory(prefix="orgrecon-clone-", ignore_cleanup_errors=True) as directory:
        clone = Path(directory)
        for name in ("workspace.yaml", "pyproject.toml"):
            shutil.copy(root / name, clone / name)
        shutil.copytree(root / "orgrecon_pipeline", clone / "orgrecon_pipeline",
                        ignore=shutil.ignore_patterns("__pycache__"))
        yield clone
