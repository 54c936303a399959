"""A site for every test that asks for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline_tests.support.operations.shards import NAMES, Connect, Shards, shards_of
from orgrecon_pipeline_tests.support.operations.site import Site, site_of
from orgrecon_pipeline_tests.support.secret_canary import files_with_password, password_fragments


@pytest.fixture(autouse=True)
def _no_password_is_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever happened: the observer's password is in no ledger, no report and no log."""
    yield
    assert list(files_with_password(tmp_path)) == []
    assert password_fragments(caplog.text) == []


@pytest.fixture
def site(company_database: str, connect: Callable[[str], psycopg.Connection[Any]], tmp_path: Path) -> Site:
    """Twelve tenants of few people, without drift."""
    return site_of(connect(company_database), company_database, tmp_path)


@pytest.fixture
def shards(new_database: Callable[..., str], template: str, connect: Connect, tmp_path: Path) -> Shards:
    """Three shards of four tenants each."""
    return shards_of(NAMES, new_database, template, connect, tmp_path)
