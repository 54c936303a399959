"""A simulated company, and an instance that is gone after the test."""

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
    """Six tenants without drift, marked as simulated, and nothing observed yet."""
    admin = connect(company_database)
    seed(admin, tenants=6, users_per_tenant=6)
    mark_simulated(admin)
    return laid_out(World(admin, environment(tmp_path, company_database), tmp_path), monkeypatch)


@pytest.fixture
def bare_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A ledger and a clock, and no database that could be compared."""
    return laid_out(World(None, environment(tmp_path, "postgresql://nobody@nowhere/none"), tmp_path), monkeypatch)


def laid_out(made: World, monkeypatch: pytest.MonkeyPatch) -> World:
    made.mapping()
    for name, value in made.environ.items():
        if name.startswith(("ORGRECON_", "DATABASE_URL")):
            monkeypatch.setenv(name, value)  # Dagster resolves EnvVar from the process
    return made


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``DAGSTER_HOME`` of an instance on SQLite."""
    made = tmp_path / "home"
    made.mkdir()
    (made / "dagster.yaml").write_text(INSTANCE, encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(made))
    return made


@pytest.fixture
def host(world: World, new_database: Callable[..., str], home: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """The world of a company, and Dagster as it is deployed on a host, with eager sensors."""
    shutil.copy(DEPLOYED, home / "dagster.yaml")
    first = datetime.now(timezone.utc).date() - timedelta(days=40)
    world.environ |= {
        "DAGSTER_HOME": str(home), "ORGRECON_SENSOR_SECONDS": "2", "ORGRECON_START_DATE": str(first),
        "DAGSTER_PG_URL": new_database().replace("postgresql://", "postgresql+psycopg2://"),
    }
    for name in ("DAGSTER_PG_URL", "ORGRECON_START_DATE"):
        monkeypatch.setenv(name, world.environ[name])
    return Host(world, home)


@pytest.fixture
def new_clone() -> Iterator[Path]:
    """A directory with what ``dagster dev`` needs of this repository, and nothing that was ever run in it.

    Not in pytest's own directory: only root itself may pass through that, and PostgreSQL does not run as root.
    """
    root = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory(prefix="orgrecon-clone-", ignore_cleanup_errors=True) as place:
        clone = Path(place)
        for name in ("workspace.yaml", "pyproject.toml"):
            shutil.copy(root / name, clone / name)
        shutil.copytree(root / "orgrecon_pipeline", clone / "orgrecon_pipeline",
                        ignore=shutil.ignore_patterns("__pycache__"))
        yield clone
