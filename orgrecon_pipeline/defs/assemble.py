"""Assembly of the definitions of one component."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import dagster as dg

from orgrecon_pipeline.defs.assets.day import Labels, day_assets, gate_asset
from orgrecon_pipeline.defs.assets.mapped_tables import upstream_specs
from orgrecon_pipeline.defs.assets.partitions import daily_partitions
from orgrecon_pipeline.defs.automation.daily import Automation, daily_schedule, day_sensors
from orgrecon_pipeline.defs.automation.gate_sensors import gate_sensors
from orgrecon_pipeline.defs.dagster_internals import UnresolvedAssetJobDefinition
from orgrecon_pipeline.defs.jobs import day_job, gate_job
from orgrecon_pipeline.defs.names import ComponentNames
from orgrecon_pipeline.defs.render_job import render_job
from orgrecon_pipeline.defs.resources import OrgreconResource
from orgrecon_pipeline.domain.mapping.model import MappingConfig


@dataclass(frozen=True)
class Parts:
    """What the definitions of a component are made from. ``upstream`` gives mapped tables the keys of other assets."""

    names: ComponentNames
    mapping: MappingConfig
    resource: OrgreconResource
    labels: Labels
    automation: Automation
    first_day: date
    upstream: Mapping[str, dg.AssetKey]


def assemble(parts: Parts) -> dg.Definitions:
    """Return assets, checks, jobs, schedule, sensors and the resource of a component.

    They can be merged with anything: every name in them belongs to the component, and they set no executor or logger.

    Raises:
        ConfigurationError: if ``upstream`` names a table that the mapping does not have.
    """
    names, automation = parts.names, parts.automation
    partitions = daily_partitions(parts.first_day)
    upstream, tables = upstream_specs(names, parts.mapping, parts.upstream, parts.labels.group)
    jobs: list[dg.JobDefinition | UnresolvedAssetJobDefinition] = [
        day_job(names, parts.mapping.scan.deadline_seconds), gate_job(names), render_job(names)]
    return dg.Definitions(
        assets=[*tables, *day_assets(names, parts.labels, partitions, upstream), gate_asset(names, parts.labels)],
        jobs=jobs,
        schedules=[daily_schedule(names, automation)],
        sensors=[*day_sensors(names, automation, partitions), *gate_sensors(names, automation, jobs)],
        resources={names.resource: parts.resource},
    )
