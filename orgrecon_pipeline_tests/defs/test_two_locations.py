"""``orgrecon gate --dagster-url`` against a real web server with several code locations, a path prefix and a token."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.observe import stamp_baseline
from orgrecon_pipeline_tests.support.cli.process import CommandResult, run
from orgrecon_pipeline_tests.support.defs.ledgers import TODAY, new_world
from orgrecon_pipeline_tests.support.defs.processes import webserver
from orgrecon_pipeline_tests.support.defs.token_proxy import token_proxy
from orgrecon_pipeline_tests.support.defs.world import World

TOKEN = "t0ken-k4n4ry"
PREFIX = "/team/dagster"
BROKEN = "raise RuntimeError('this location does not load')\n"


@pytest.fixture
def prod(tmp_path: Path) -> World:
    """An environment whose ledger lacks only today's baseline to be OPEN."""
    world = new_world(tmp_path / "prod", "prod")
    stamp_last_week(world)
    return world


@pytest.fixture
def staging(tmp_path: Path) -> World:
    """Another environment like prod."""
    world = new_world(tmp_path / "staging", "staging")
    stamp_last_week(world)
    return world


def stamp_last_week(world: World) -> None:
    for back in range(1, 7):
        stamp_baseline(Context.from_settings(read_settings(world.environ)), TODAY - timedelta(days=back))


def command(world: World, *arguments: str, **environ: str) -> CommandResult:
    """Run a command in the environment of a world, and assert that no output shows the token."""
    own = {name: value for name, value in world.environ.items() if name.startswith(("ORGRECON_", "DATABASE_URL"))}
    result = run(world.directory, *arguments, **{**own, **environ})
    assert TOKEN not in result.out + result.err
    return result


def stamp_today(world: World, home: Path) -> None:
    """Stamp today's baseline by a run in the instance in ``home``."""
    result = command(world, "report", "--baseline", "--date", str(TODAY), DAGSTER_HOME=str(home))
    assert result.code == 0, result


def location(world: World) -> Path:
    """Write the file of a code location of a world."""
    own = {name: value for name, value in world.environ.items() if name.startswith(("ORGRECON_", "DATABASE_URL"))}
    path = world.directory / "location.py"
    path.write_text(f"import os\n\nos.environ.update({own!r})\n\n"
                    "from orgrecon_pipeline.definitions import defs\n", encoding="utf-8")
    return path


def workspace(home: Path, **files: Path) -> list[str]:
    """Write the workspace with a code location for each file; return the options of the web server for it."""
    path = home / "workspace.yaml"
    path.write_text("load_from:\n" + "".join(
        f"- python_file: {{relative_path: {file}, location_name: {name}}}\n" for name, file in files.items()), "utf-8")
    return ["-w", str(path)]


@pytest.mark.slow
def test_gate_behind_a_prefix_and_a_token_follows_the_ledgers_that_evaluate_the_check(
    prod: World, staging: World, home: Path,
) -> None:
    stamp_today(prod, home)
    code = workspace(home, prod=location(prod))
    environ = {**prod.environ, "DAGSTER_HOME": str(home)}
    header = {"ORGRECON_DAGSTER_TOKEN_HEADER": "Authorization"}
    with webserver(environ, home, code, PREFIX) as server, \
            token_proxy(server, "Authorization", f"Bearer {TOKEN}") as url:

        def gate(world: World, *more: str, **tokens: str) -> tuple[int, str]:
            result = command(world, "gate", "--dagster-url", url, *more, **{
                **header, "ORGRECON_DAGSTER_TOKEN": TOKEN, **tokens})
            return result.code, result.out + result.err

        assert gate(prod)[0] == 0
        code_, text = gate(prod, ORGRECON_DAGSTER_TOKEN="")
        assert (code_, "redirects to https://login.example.com (HTTP 302)" in text) == (1, True), text
        code_, text = gate(prod, "--debug", ORGRECON_DAGSTER_TOKEN=f"{TOKEN}x")
        assert (code_, "refuses the request (HTTP 401)" in text) == (1, True), text
        code_, text = gate(prod, "--debug", ORGRECON_DAGSTER_TOKEN=f"{TOKEN}\nx")
        assert (code_, "ORGRECON_DAGSTER_TOKEN contains a character" in text) == (2, True), text
        code_, text = gate(prod, "--asset-key", "other/drift_gate")
        assert (code_, "no asset other/drift_gate" in text) == (1, True), text
        assert "its answer is about org-v23 in prod, but org-v23 in staging" in gate(staging)[1]
        # Staging evaluates the same check. Both are CLOSED until prod accepts that.
        stamp_today(staging, home)
        assert (gate(prod)[0], gate(staging)[0]) == (1, 1)
        assert command(prod, "gate").code == 0
        reason = "staging moved to its own instance"
        accepted = command(prod, "accept-ledger", "--reason", reason, DAGSTER_HOME=str(home))
        assert accepted.code == 0, accepted
        assert (gate(prod)[0], gate(staging)[0]) == (0, 1)
        stamp_today(staging, home)
        assert (gate(prod)[0], gate(staging)[0]) == (1, 1)


@pytest.mark.slow
def test_gate_of_two_code_locations_is_closed_and_names_them(prod: World, staging: World, home: Path) -> None:
    """The case of the issue: the answer of staging opened the gate of prod."""
    stamp_today(staging, home)
    code = workspace(home, prod=location(prod), staging=location(staging))
    with webserver({**prod.environ, "DAGSTER_HOME": str(home)}, home, code) as url:
        for world in (prod, staging):
            result = command(world, "gate", "--dagster-url", url)
            assert result.code == 1
            assert "more than one code location has the asset drift_gate (prod, staging)" in result.out


@pytest.mark.slow
def test_gate_beside_a_code_location_that_does_not_load_is_closed_and_names_it(prod: World, home: Path) -> None:
    stamp_today(prod, home)
    (home / "broken.py").write_text(BROKEN, "utf-8")
    code = workspace(home, prod=location(prod), other=home / "broken.py")
    with webserver({**prod.environ, "DAGSTER_HOME": str(home)}, home, code) as url:
        result = command(prod, "gate", "--dagster-url", url)
    assert result.code == 1
    assert "because other is not loaded" in result.out
