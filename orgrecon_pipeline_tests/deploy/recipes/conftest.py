"""Evidence for which the gate is OPEN, and for which one tenant drifts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orgrecon_pipeline_tests.support.deploy.gate_world import GateWorld


@pytest.fixture(scope="session")
def clean_world(tmp_path_factory: pytest.TempPathFactory) -> GateWorld:
    """Evidence without drift: every gate is OPEN."""
    return GateWorld(tmp_path_factory.mktemp("clean")).store()


@pytest.fixture(scope="session")
def drifting_world(tmp_path_factory: pytest.TempPathFactory) -> GateWorld:
    """Evidence in which ``globex`` drifts today: its gate and that of the company are CLOSED."""
    return GateWorld(tmp_path_factory.mktemp("drifting")).store(drifting=["globex"])


@pytest.fixture(scope="session")
def open_gate(clean_world: GateWorld) -> Iterator[str]:
    """The address of the gate of an exporter: OPEN."""
    with clean_world.exporter() as url:
        yield url


@pytest.fixture(scope="session")
def closed_gate(drifting_world: GateWorld) -> Iterator[str]:
    """The address of the gate of an exporter: CLOSED, and OPEN for all tenants except ``globex``."""
    with drifting_world.exporter() as url:
        yield url
