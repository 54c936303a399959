"""The guards of a feature flag say yes only if the real exporter answers OPEN for the expected identity."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from orgrecon_pipeline_tests.support.deploy.gate_world import TENANTS, GateWorld
from orgrecon_pipeline_tests.support.deploy.tools import ROOT, installed
from orgrecon_pipeline_tests.support.deploy.wrong_servers import answering, gone, silent

RECIPES = ROOT / "deploy/recipes"
PYTHON = """
import sys
sys.path.insert(0, sys.argv[1])
from gate_guard import gate_is_open
sys.exit(0 if gate_is_open(*sys.argv[2:]) is True else 1)
"""
OPEN = {"state": "OPEN", "migration": "org-v23", "environment": "prod"}

Guard = Callable[..., bool]


@pytest.fixture(params=["python", "shell"])
def guard(request: pytest.FixtureRequest) -> Guard:
    """``guard(url, tenant)`` returns whether the guard says yes."""
    if request.param == "shell":
        installed("jq")
        installed("curl")

    def ask(url: str, *tenant: str, **environ: str) -> bool:
        command = [sys.executable, "-B", "-c", PYTHON, str(RECIPES)] if request.param == "python" else [
            str(RECIPES / "gate_guard.sh")]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ORGRECON")}
        done = subprocess.run(
            [*command, *tenant], env={**clean, "ORGRECON_GATE_URL": url, **environ}, capture_output=True, text=True,
            check=False, timeout=60)
        assert done.returncode in (0, 1), done.stderr
        assert done.stderr == ""
        return done.returncode == 0

    return ask


def test_guard_says_yes_for_the_company_and_every_tenant_of_an_open_gate(guard: Guard, open_gate: str) -> None:
    assert guard(open_gate)
    assert [guard(open_gate, tenant) for tenant in TENANTS] == [True, True, True]


def test_guard_says_no_for_unknown_tenants(guard: Guard, open_gate: str) -> None:
    assert [guard(open_gate, tenant) for tenant in ("nobody", "ACME", "../acme", "-h", "\n")] == [False] * 5


def test_guard_says_no_for_the_company_and_the_drifting_tenant_only(guard: Guard, closed_gate: str) -> None:
    assert not guard(closed_gate)
    assert [guard(closed_gate, tenant) for tenant in TENANTS] == [True, False, True]


def test_guard_sends_the_token_that_the_exporter_requires(guard: Guard, clean_world: GateWorld) -> None:
    with clean_world.exporter(ORGRECON_GATE_TOKEN="s3cret") as url:
        assert guard(url, ORGRECON_GATE_TOKEN="s3cret")
        assert not guard(url, ORGRECON_GATE_TOKEN="wrong")
        assert not guard(url)


def test_guard_says_no_for_the_gate_of_another_environment(guard: Guard, tmp_path: Path) -> None:
    staging = GateWorld(tmp_path, environment="staging").store()
    with staging.exporter() as url:
        assert not guard(url)
        assert not guard(url, "acme")


@pytest.mark.parametrize(("status", "body"), [
    (503, OPEN),
    (204, ""),
    (200, "<html>log in</html>"),
    (200, [OPEN]),
    (200, {**OPEN, "state": "CLOSED"}),
    (200, {**OPEN, "environment": "staging"}),
    (200, {"state": "OPEN"}),
    (200, "null"),
    (302, OPEN),
])
def test_guard_says_no_for_an_unexpected_answer(guard: Guard, status: int, body: Any) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    with answering(200, json.dumps(OPEN)) as elsewhere, answering(status, text, elsewhere) as url:
        assert not guard(url)


def test_guard_says_no_if_the_exporter_answers_for_another_tenant(guard: Guard) -> None:
    with answering(200, json.dumps({**OPEN, "tenant": "globex"})) as url:
        assert not guard(url, "acme")


@pytest.mark.parametrize("server", [lambda: nullcontext(gone()), silent, lambda: nullcontext("not an address")],
                         ids=["gone", "silent", "not an address"])
def test_guard_says_no_without_an_answer(guard: Guard, server: Any) -> None:
    with server() as url:
        assert not guard(url)
