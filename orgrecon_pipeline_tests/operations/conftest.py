"""Fixtures of the operations tests: a site, and a site with shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline_tests.support.operations.shards import NAMES, Connect, ShardedSite, make_shards
from orgrecon_pipeline_tests.support.operations.site import Site, open_site
from orgrecon_pipeline_tests.support.secret_canary import files_with_password, password_fragments


@pytest.fixture(autouse=True)
def _no_password_leaks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Check after each test that the password of the read-only role is in no ledger, report or log."""
    yield
    assert list(files_with_password(tmp_path)) == []
    assert password_fragments(caplog.text) == []


@pytest.fixture
def site(seeded_database: str, connect: Callable[[str], psycopg.Connection[Any]], tmp_path: Path) -> Site:
    """A site with twelve small tenants without drift."""
    return open_site(connect(seeded_database), seeded_database, tmp_path)


@pytest.fixture
def shards(new_database: Callable[..., str], template: str, connect: Connect, tmp_path: Path) -> ShardedSite:
    """A site with three shards of four tenants each."""
    return make_shards(NAMES, new_database, template, connect, tmp_path)
