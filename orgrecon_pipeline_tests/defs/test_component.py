"""The component in a project of its own: its files, its fields, and what they change."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster.components.core.component_tree import ComponentTreeException
from dagster.components.testing import create_defs_folder_sandbox

from orgrecon_pipeline.component import OrgreconComponent
from orgrecon_pipeline.defs.component import DefsYamlScaffolder
from orgrecon_pipeline.domain.errors import ConfigurationError

TYPE = "orgrecon_pipeline.component.OrgreconComponent"


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Dagster project without components."""
    monkeypatch.delenv("ORGRECON_ENVIRONMENT", raising=False)
    with create_defs_folder_sandbox() as project:
        yield project


def build(sandbox: Any, **attributes: Any) -> dg.Definitions:
    """Return the definitions of a component with these attributes in its ``defs.yaml``."""
    path = sandbox.scaffold_component(
        component_cls=OrgreconComponent, defs_yaml_contents={"type": TYPE, "attributes": attributes})
    with sandbox.load_component_and_build_defs(defs_path=path) as (_, definitions):
        return definitions


def the_resource(definitions: dg.Definitions) -> Any:
    [resource] = (definitions.resources or {}).values()
    return resource


def keys(definitions: dg.Definitions) -> set[str]:
    return {key.to_user_string() for key in definitions.resolve_asset_graph().materializable_asset_keys}


def test_component_is_registered_for_dg() -> None:
    assert "orgrecon_pipeline.component" in {
        entry.value for entry in entry_points(group="dagster_dg_cli.registry_modules")}


def test_scaffolded_files_load_and_name_every_field(sandbox: Any) -> None:
    path = sandbox.scaffold_component(component_cls=OrgreconComponent)
    text = (path / "defs.yaml").read_text(encoding="utf-8")
    assert (path / "orgrecon.yaml").exists()
    assert not [field for field in OrgreconComponent.model_fields if f"{field}:" not in text]
    with sandbox.load_component_and_build_defs(defs_path=path) as (component, definitions):
        assert component.mapping == "orgrecon.yaml"
        assert the_resource(definitions).mapping_file == str((path / "orgrecon.yaml").resolve())
        assert "org_v23/drift_gate" in keys(definitions)


def test_scaffolding_keeps_an_existing_mapping(tmp_path: Path) -> None:
    (tmp_path / "orgrecon.yaml").write_text("mine", encoding="utf-8")
    request = dg.ScaffoldRequest(type_name=TYPE, target_path=tmp_path, scaffold_format="yaml", project_root=tmp_path,
                                 params=None)
    DefsYamlScaffolder().scaffold(request)
    assert (tmp_path / "orgrecon.yaml").read_text(encoding="utf-8") == "mine"
    assert f"type: {TYPE}\n" in (tmp_path / "defs.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(("attributes", "message"), [
    ({"ledger_env": "postgresql://u:canary@h/d"}, "ledger_env: is not the name of an environment variable"),
    ({"source_env": "a b"}, "source_env: is not the name of an environment variable"),
    ({"environment": "Prod"}, "environment: 'Prod' is not a name"),
    ({"key_prefix": ["a-b"]}, "key_prefix: is not a part of an asset key"),
    ({"group": "my group"}, "group: is not a group"),
    ({"kinds": ["a", "b"]}, "kinds: names several"),
    ({"start_date": "2026-1-1"}, "start_date: '2026-1-1' is not a day"),
    ({"schedule": {"hour": 23}}, "schedule: hour is 23"),
    ({"sensors": {"every_seconds": 0}}, "sensors: every_seconds is 0"),
    ({"sensors": {"reobserve_hours": 0.1}}, "sensors: reobserve_hours is 0.1"),
    ({"upstream": {"public.team": "x"}}, "upstream: public.team is not a table of the mapping"),
    ({"mapping": "none.yaml"}, "none.yaml"),
])
def test_invalid_field_is_named_in_one_line_without_a_secret(
    sandbox: Any, attributes: dict[str, Any], message: str,
) -> None:
    with pytest.raises((dg.DagsterInvalidDefinitionError, ComponentTreeException)) as refused:
        build(sandbox, **attributes)
    cause = refused.value.__cause__ or refused.value
    assert message in str(cause)
    assert "canary" not in str(cause)
    assert len(str(cause).splitlines()) == 1


def test_every_name_is_below_the_prefix_of_the_identity(sandbox: Any) -> None:
    definitions = build(sandbox, environment="prod")
    repository = definitions.get_repository_def()
    assert all(key.startswith("org_v23/prod/") for key in keys(definitions))
    named = [*repository.schedule_defs, *repository.sensor_defs,
             *(job for job in repository.get_all_jobs() if not job.name.startswith("__"))]
    assert len(named) == 10
    assert all(definition.name.startswith("org_v23_prod_") for definition in named)
    assert set(definitions.resources or {}) == {"orgrecon_org_v23__prod"}
    assert definitions.executor is None
    assert not definitions.loggers


def test_environment_of_the_process_is_the_default(sandbox: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORGRECON_ENVIRONMENT", "staging")
    definitions = build(sandbox)
    assert "org_v23/staging/drift_gate" in keys(definitions)
    assert the_resource(definitions).output_dir.endswith("docs/runbooks/org-v23__staging-reconciliation-reports")


def test_schedule_and_sensors_can_be_off(sandbox: Any) -> None:
    repository = build(sandbox, schedule={"hour": 5, "enabled": False}, sensors={"enabled": False}).get_repository_def()
    [schedule] = repository.schedule_defs
    assert schedule.cron_schedule == "0 5 * * *"
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert {sensor.default_status for sensor in repository.sensor_defs} == {dg.DefaultSensorStatus.STOPPED}


def test_missing_variable_is_named_when_it_is_needed(sandbox: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger that nobody chose would be lost with its pod."""
    monkeypatch.setenv("ORGRECON_LEDGER_URL", "sqlite:///not-ours.db")
    resource = the_resource(build(sandbox, ledger_env="EVIDENCE_URL", source_env="LEGACY_URL"))
    with pytest.raises(ConfigurationError, match=r"^EVIDENCE_URL is not set: set it to"):
        resource.open()
    monkeypatch.setenv("EVIDENCE_URL", f"sqlite:///{sandbox.defs_folder_path}/ledger.db")
    monkeypatch.setenv("DATABASE_URL", "postgresql://u@not-ours/d")
    with pytest.raises(ConfigurationError, match=r"^LEGACY_URL is not set: set it to"):
        resource.open().endpoints()
