"""The definitions: their committed snapshot, code references, variables and job settings."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest

from orgrecon_pipeline.defs.build import build_definitions
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline_tests.support.defs import graph_text
from orgrecon_pipeline_tests.support.defs.world import MAPPING


@pytest.mark.parametrize("snapshot", graph_text.SNAPSHOTS, ids=lambda path: path.stem)
def test_graph_equals_committed_snapshot(snapshot: Path) -> None:
    """To update it, run python -m orgrecon_pipeline_tests.support.defs.graph_text and review the diff."""
    assert json.loads(snapshot.read_text(encoding="utf-8")) == graph_text.graph(graph_text.SNAPSHOTS[snapshot]())


def test_code_reference_of_every_asset_points_to_its_decorator() -> None:
    assets = [asset for asset in build_definitions({}).assets or () if isinstance(asset, dg.AssetsDefinition)]
    assert len(assets) == 5
    for asset in assets:
        for key in asset.keys:
            [reference] = asset.metadata_by_key[key]["dagster/code_references"].code_references
            line = Path(reference.file_path).read_text(encoding="utf-8").splitlines()[reference.line_number - 1]
            assert line.strip().startswith("@dg.asset(")


@pytest.mark.parametrize(("variable", "value"), [
    ("ORGRECON_START_DATE", "2026-1-1"), ("ORGRECON_REOBSERVE_HOURS", "soon"), ("ORGRECON_REOBSERVE_HOURS", "nan"),
    ("ORGRECON_REOBSERVE_HOURS", "0.001"), ("ORGRECON_SENSOR_SECONDS", "0"), ("ORGRECON_SENSOR_SECONDS", "٣"),
])
def test_variable_with_invalid_value_is_refused(variable: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"^{variable}\\b.*(set it to|YYYY-MM-DD)"):
        build_definitions({variable: value})


def test_start_date_is_the_first_partition() -> None:
    definitions = build_definitions({"ORGRECON_START_DATE": "2026-11-01"})
    partitions = definitions.resolve_job_def("reconcile_day").partitions_def
    assert partitions is not None
    assert partitions.get_first_partition_key() == "2026-11-01"


def test_maximum_runtime_is_twice_the_deadline_plus_an_hour(tmp_path: Path) -> None:
    (tmp_path / "orgrecon.yaml").write_text(
        MAPPING.replace("deadline_seconds: 3600", "deadline_seconds: 7200"), encoding="utf-8")
    (tmp_path / "none.yaml").write_text("version: 2", encoding="utf-8")
    for mapping, seconds in (("orgrecon.yaml", 3 * 3600 + 7200), ("none.yaml", 3 * 3600)):
        job = build_definitions({"ORGRECON_MAPPING": str(tmp_path / mapping)}).resolve_job_def("reconcile_day")
        assert job.tags["dagster/max_runtime"] == str(seconds)


def test_run_without_a_job_executes_in_one_process() -> None:
    """Otherwise a backfill would start a process for each asset."""
    job = build_definitions({}).get_repository_def().get_implicit_global_asset_job_def()
    assert job.executor_def.name == "in_process"


def test_resource_configuration_contains_no_secret() -> None:
    environ = {"DATABASE_URL": "postgresql://u:canary@h/d", "ORGRECON_LEDGER_URL": "postgresql://u:canary@h/l",
               "ORGRECON_TARGET_DATABASE_URL": "postgresql://u:canary@h/t", "ORGRECON_NOTIFY_URLS": "json://canary@h"}
    resources = build_definitions(environ).resources or {}
    assert "canary" not in repr(resources)
    for resource in resources.values():
        assert "canary" not in str(resource.__dict__)
