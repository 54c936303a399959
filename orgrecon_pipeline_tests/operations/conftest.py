"""A site for every test that asks for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline_tests.support.operations.repair_pair import Pair, Patient, entity
from orgrecon_pipeline_tests.support.operations.shards import NAMES, Connect, Shards, shards_of
from orgrecon_pipeline_tests.support.operations.site import Site, site_of
from orgrecon_pipeline_tests.support.secret_canary import found_in, told_in


@pytest.fixture(autouse=True)
def _no_password_is_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever happened: the observer's password is in no ledger, no report and no log."""
    yield
    assert list(found_in(tmp_path)) == []
    assert told_in(caplog.text) == []


@pytest.fixture
def site(company_database: str, connect: Callable[[str], psycopg.Connection[Any]], tmp_path: Path) -> Site:
    """Twelve tenants of few people, without drift."""
    return site_of(connect(company_database), company_database, tmp_path)


@pytest.fixture
def patient(company_database: str, connect: Callable[[str], psycopg.Connection[Any]], tmp_path: Path) -> Patient:
    """Twelve tenants without drift, and whoever observes and heals them."""
    return Patient(connect(company_database), company_database, tmp_path)


@pytest.fixture
def pair(empty_database: str, connect: Callable[[str], psycopg.Connection[Any]], tmp_path: Path) -> Callable[..., Pair]:
    """``pair(ddl, e=entity, ...)``: tables that the test makes, and whoever observes and heals them."""

    def made(ddl: str, **entities: Any) -> Pair:
        admin = connect(empty_database)
        admin.execute(ddl.encode())
        return Pair(admin, empty_database, tmp_path, entities or {"e": entity()})

    return made


@pytest.fixture
def shards(new_database: Callable[..., str], template: str, connect: Connect, tmp_path: Path) -> Shards:
    """Three shards of four tenants each."""
    return shards_of(NAMES, new_database, template, connect, tmp_path)
