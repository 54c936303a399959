"""The Dagster definitions as reviewable JSON; run this module to write the committed snapshots again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.defs.assemble import assemble
from orgrecon_pipeline.defs.build import build_definitions
from orgrecon_pipeline.defs.component import OrgreconComponent, ScheduleFields, SensorFields


def default_location() -> dg.Definitions:
    """Return the definitions of the default code location."""
    return build_definitions({})


def component() -> dg.Definitions:
    """Return the definitions of a component whose fields have values."""
    fields = OrgreconComponent(
        environment="prod", owners=["team:data"], tags={"domain": "organisation"}, kinds=["kubernetes"],
        schedule=ScheduleFields(hour=6), sensors=SensorFields(enabled=False, every_seconds=300),
        start_date="2026-01-01", upstream={"public.teams": "ingest/teams"})
    return assemble(fields.parts(default_mapping(), {}))


#: The committed snapshots.
SNAPSHOTS: dict[Path, Callable[[], dg.Definitions]] = {
    Path(__file__).with_name("graph.json"): default_location,
    Path(__file__).with_name("graph_of_component.json"): component,
}


def graph(definitions: dg.Definitions) -> dict[str, Any]:
    """Return what the UI shows of the definitions, as JSON values."""
    repository = definitions.get_repository_def()
    return {
        "assets": {node.key.to_user_string(): _asset(node)
                   for node in sorted(repository.asset_graph.asset_nodes, key=lambda node: node.key)},
        "jobs": {
            job.name: {
                "assets": sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys),
                "executor": job.executor_def.name, "tags": dict(job.tags), "description": job.description,
            }
            for job in sorted(repository.get_all_jobs(), key=lambda job: job.name) if not job.name.startswith("__")
        },
        "schedules": {
            schedule.name: {"job": schedule.job_name, "cron": schedule.cron_schedule,
                            "timezone": schedule.execution_timezone, "status": schedule.default_status.value,
                            "description": schedule.description,
                            "resources": sorted(schedule.required_resource_keys)}
            for schedule in repository.schedule_defs
        },
        "sensors": {
            sensor.name: {"jobs": [target.job_name for target in sensor.targets], "type": sensor.sensor_type.value,
                          "seconds": sensor.minimum_interval_seconds, "status": sensor.default_status.value,
                          "description": sensor.description, "resources": sorted(sensor.required_resource_keys)}
            for sensor in sorted(repository.sensor_defs, key=lambda sensor: sensor.name)
        },
        "resources": sorted(repository.get_top_level_resources()),
    }


def _asset(node: Any) -> dict[str, Any]:
    partitions = node.partitions_def
    return {
        "after": sorted(key.to_user_string() for key in node.parent_keys),
        "checks": {key.name: _check(node, key) for key in sorted(node.check_keys)},
        "description": node.description,
        "freshness": _freshness(node.assets_def.specs_by_key[node.key].freshness_policy),
        "group": node.group_name,
        "kinds": sorted(node.kinds),
        "owners": list(node.owners),
        "tags": {name: value for name, value in sorted(node.tags.items()) if not name.startswith("dagster/kind/")},
        "table": node.metadata.get("dagster/table_name"),
        "columns": _columns(node.metadata.get("dagster/column_schema")),
        "partitions": None if partitions is None else {
            "start": partitions.start.date().isoformat(), "timezone": partitions.timezone,
            "cron": partitions.cron_schedule, "end_offset": partitions.end_offset,
        },
        "pools": sorted(node.pools or ()),
    }


def _columns(schema: Any) -> dict[str, str] | None:
    return schema and {column.name: column.type for column in schema.columns}


def _freshness(policy: Any) -> dict[str, str] | None:
    if policy is None:
        return None
    return {"warn": str(policy.warn_window.to_timedelta()), "fail": str(policy.fail_window.to_timedelta())}


def _check(node: Any, key: dg.AssetCheckKey) -> dict[str, Any]:
    spec = node.assets_def.get_spec_for_check_key(key)
    return {"blocking": spec.blocking, "description": spec.description}


if __name__ == "__main__":
    for path, build in SNAPSHOTS.items():
        path.write_text(json.dumps(graph(build()), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
