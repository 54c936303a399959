"""``dagster dev`` where nothing is configured: a demo that says so, and never anywhere else."""

from __future__ import annotations

import os
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from orgrecon_pipeline.defs.build import build_definitions
from orgrecon_pipeline.defs.dev_demo import DEMO_NOTICE, dev_demo_enabled
from orgrecon_pipeline.ledger.open import open_ledger
from orgrecon_pipeline.report.read import read_report
from orgrecon_pipeline_tests.support.defs.processes import answers, eventually, free_port, graphql, process

DEV = {"DAGSTER_IS_DEV_CLI": "1"}


def test_the_demo_is_for_dagster_dev_without_any_configuration() -> None:
    assert dev_demo_enabled(DEV)
    assert not dev_demo_enabled({})
    for name in ("DATABASE_URL", "ORGRECON_LEDGER_URL", "ORGRECON_MAPPING", "ORGRECON_OUTPUT_DIR",
                 "ORGRECON_SIMULATED_NOW_FILE"):
        assert not dev_demo_enabled({**DEV, name: "x"})
    source = (build_definitions({}).resources or {})["source"]
    assert source.demo_directory is None


def test_a_demo_says_so_on_every_page() -> None:
    for environ, said in ((DEV, True), ({}, False)):
        specs = list(build_definitions(environ).resolve_all_asset_specs())
        assert len(specs) == 5
        assert {DEMO_NOTICE in str(spec.description) for spec in specs} == {said}
        assert {bool(spec.kinds) and "demo_data" in spec.tags for spec in specs} == {said}


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_dagster_dev_opens_in_a_clean_clone(tmp_path: Path, new_clone: Path) -> None:
    """Six days of history appear as reports by themselves, and today can be observed."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environ = {name: value for name, value in os.environ.items()
               if not name.startswith(("ORGRECON_", "DATABASE_URL", "DAGSTER_"))}
    command = [str(Path(sys.executable).with_name("dagster")), "dev", "-w", str(new_clone / "workspace.yaml"), "-p",
               str(port)]
    log = tmp_path / "dev.log"
    reports = new_clone / ".orgrecon/dagster-dev/reports"
    today = datetime.now(timezone.utc).date()
    history = [today - timedelta(days=back) for back in range(6, 0, -1)]
    with process(command, environ, new_clone, log):
        eventually(lambda: answers(url), 120, log.read_text)
        loaded = graphql(url, "{workspaceOrError{... on Workspace{locationEntries{name "
                              "locationOrLoadError{__typename}}}}}")
        assert [(entry["name"], entry["locationOrLoadError"]["__typename"])
                for entry in loaded["workspaceOrError"]["locationEntries"]] == [("orgrecon", "RepositoryLocation")]
        eventually(lambda: all((reports / f"{day}.md").exists() for day in history), 240, log.read_text)
        assert DEMO_NOTICE in log.read_text()
    assert {read_report(path).provenance.value for path in reports.glob("*.md")} == {"simulated"}
    ledger = open_ledger(f"sqlite:///{new_clone / '.orgrecon/dagster-dev/ledger.db'}")
    assert ledger.days()[:6] == history
    made = {path.name for path in new_clone.iterdir() if not path.name.startswith((".tmp_dagster_home", ".orgrecon"))}
    assert made == {"workspace.yaml", "pyproject.toml", "orgrecon_pipeline"}
