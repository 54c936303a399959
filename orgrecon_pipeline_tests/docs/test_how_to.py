"""Tests that the how-to guides are listed, and that the names and files in them work."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster.components.testing import create_defs_folder_sandbox

from orgrecon_pipeline.component import OrgreconComponent

ROOT = Path(__file__).parents[2]
GUIDES = ROOT / "docs/how-to"
MAPPING = ROOT / "orgrecon_pipeline/config/default_mapping.yaml"
DEFS = {
    (page.name, attributes["environment"]): attributes
    for page in GUIDES.glob("*.md")
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    if "attributes" in (file := yaml.safe_load(block)) for attributes in [file["attributes"]]
}


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Dagster project without components."""
    monkeypatch.delenv("ORGRECON_ENVIRONMENT", raising=False)
    with create_defs_folder_sandbox() as project:
        yield project


def build(sandbox: Any, attributes: dict[str, Any]) -> dg.Definitions:
    path = sandbox.scaffold_component(component_cls=OrgreconComponent, defs_yaml_contents={
        "type": "orgrecon_pipeline.component.OrgreconComponent", "attributes": attributes})
    for directory in (path, path.parent):
        shutil.copy(MAPPING, directory / "orgrecon.yaml")
    with sandbox.load_component_and_build_defs(defs_path=path) as (_, definitions):
        return definitions


def names(definitions: dg.Definitions) -> set[str]:
    """Return the names of assets, jobs, schedules and sensors."""
    repository = definitions.get_repository_def()
    return {*(key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()), *repository.job_names,
            *(schedule.name for schedule in repository.schedule_defs), *(s.name for s in repository.sensor_defs)}


def test_index_lists_every_guide() -> None:
    index = (GUIDES / "README.md").read_text("utf-8")
    listed = set(re.findall(r"\]\((\w[\w-]*\.md)\)", index))
    assert {page.name for page in GUIDES.glob("*.md")} - {"README.md"} == listed


def test_guides_show_a_component_per_environment() -> None:
    assert sorted(environment for _, environment in DEFS) == ["prod", "staging"]


@pytest.mark.parametrize("where", DEFS, ids=str)
def test_component_of_a_guide_loads_under_the_names_of_its_environment(sandbox: Any, where: tuple[str, str]) -> None:
    assert f"org_v23/{where[1]}/drift_gate" in names(build(sandbox, DEFS[where]))


@pytest.mark.parametrize("page", sorted(GUIDES.glob("*.md")), ids=lambda page: page.name)
def test_names_of_dagster_in_a_guide_exist(sandbox: Any, page: Path) -> None:
    known: set[str] = set()
    for environment in ("prod", "staging"):
        attributes = {"mapping": "orgrecon.yaml", "environment": environment,
                      "upstream": {"public.teams": "ingest/teams"}}
        known |= names(build(sandbox, attributes))
    named = set(re.findall(r"(?<!defs/)\borg_v23[_/](?:prod|staging)[_/]\w+", page.read_text("utf-8")))
    assert named <= known
