"""Fixtures of the tests that run the image: the image, a volume, and a PostgreSQL server that containers reach."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest

from orgrecon_pipeline.demo import company
from orgrecon_pipeline.demo.postgres_binaries import find_binaries
from orgrecon_pipeline_tests.support.defs.processes import free_port
from orgrecon_pipeline_tests.support.image.build import IMAGE, build_images
from orgrecon_pipeline_tests.support.image.engine import podman, require_engine
from orgrecon_pipeline_tests.support.image.servers import Databases
from orgrecon_pipeline_tests.support.operations.postgres_server import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def image() -> str:
    """The image of the cluster."""
    require_engine()
    build_images()
    return IMAGE


@pytest.fixture
def volume(image: str) -> Iterator[str]:
    """The name of a new volume."""
    name = f"orgrecon-{uuid.uuid4().hex[:8]}"
    podman("volume", "create", name)
    yield name
    podman("volume", "rm", "--force", name)


@pytest.fixture(scope="module")
def tcp_server() -> Iterator[tuple[PostgresServer, int]]:
    """A server that accepts any role on a port of this machine."""
    port = free_port()
    with postgres_server(find_binaries()) as server:
        server.initialise()
        server.start(listen_addresses="127.0.0.1", port=str(port))
        yield server, port


@pytest.fixture
def databases(tcp_server: tuple[PostgresServer, int], template_sql: str) -> Iterator[Databases]:
    """A seeded company and an empty ledger."""
    server, port = tcp_server
    names = [f"{name}_{uuid.uuid4().hex[:8]}" for name in ("company", "ledger")]
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        for name in names:
            admin.execute(f'CREATE DATABASE "{name}"')
    source, ledger = (f"postgresql://postgres@127.0.0.1:{port}/{name}" for name in names)
    with psycopg.connect(source, autocommit=True) as owner:
        owner.execute(template_sql)
        company.seed(owner, tenants=3, users_per_tenant=4)
        yield Databases(source, ledger, owner)
