"""The demo company of ``dagster dev``: only without configuration, and always marked as a demo."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from orgrecon_pipeline.defs.build import build_definitions
from orgrecon_pipeline.defs.dev_demo import DEMO_NOTICE, dev_demo_enabled
from orgrecon_pipeline_tests.support.default_identity import open_ledger, read_report
from orgrecon_pipeline_tests.support.defs.processes import answers, eventually, free_port, graphql, process
from orgrecon_pipeline_tests.support.environ import inherited_environ

DEV = {"DAGSTER_IS_DEV_CLI": "1"}


def test_dev_demo_with_any_configuration_is_disabled() -> None:
    assert dev_demo_enabled(DEV)
    assert not dev_demo_enabled({})
    for name in ("DATABASE_URL", "ORGRECON_LEDGER_URL", "ORGRECON_MAPPING", "ORGRECON_OUTPUT_DIR",
                 "ORGRECON_SIMULATED_NOW_FILE"):
        assert not dev_demo_enabled({**DEV, name: "x"})
    [resource] = (build_definitions({}).resources or {}).values()
    assert resource.demo_directory is None


def test_dev_demo_marks_the_description_of_every_asset() -> None:
    for environ, marked in ((DEV, True), ({}, False)):
        specs = list(build_definitions(environ).resolve_all_asset_specs())
        assert len(specs) == 10  # five assets and five mapped tables
        assert {DEMO_NOTICE in str(spec.description) for spec in specs} == {marked}
        assert {bool(spec.kinds) and "demo_data" in spec.tags for spec in specs} == {marked}


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_dagster_dev_in_a_clean_clone_renders_six_days_of_history(tmp_path: Path, new_clone: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environ = inherited_environ()
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
    created = {path.name for path in new_clone.iterdir()
               if not path.name.startswith((".tmp_dagster_home", ".orgrecon"))}
    assert created == {"workspace.yaml", "pyproject.toml", "orgrecon_pipeline"}
