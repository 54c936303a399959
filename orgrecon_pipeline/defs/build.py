"""All definitions, from an environment."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from orgrecon_pipeline.config.mapping_file import default_mapping, load_mapping
from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.defs import dev_demo
from orgrecon_pipeline.defs.assets.day import day_assets
from orgrecon_pipeline.defs.assets.gate import drift_gate
from orgrecon_pipeline.defs.automation.day_sensors import day_sensors
from orgrecon_pipeline.defs.automation.gate_sensors import gate_sensors
from orgrecon_pipeline.defs.automation.schedules import every_utc_day
from orgrecon_pipeline.defs.jobs import day_job, gate_job
from orgrecon_pipeline.defs.partitions import daily_partitions
from orgrecon_pipeline.defs.render_job import render_days
from orgrecon_pipeline.defs.resources import (
    AuditDirectory,
    ClockResource,
    LedgerResource,
    NotifierResource,
    SourceResource,
)
from orgrecon_pipeline.domain.errors import OrgreconError, UsageError
from orgrecon_pipeline.notify.dispatch import LINK_VARIABLE
from orgrecon_pipeline.notify.notifier import URLS_VARIABLE
from orgrecon_pipeline.operations.clock import SIMULATED_NOW_VARIABLE
from orgrecon_pipeline.operations.context import SOURCE_VARIABLE, TARGET_VARIABLE
from orgrecon_pipeline.operations.observe.due_days import reobserve_every

SENSOR_SECONDS_VARIABLE = "ORGRECON_SENSOR_SECONDS"
REOBSERVE_VARIABLE = "ORGRECON_REOBSERVE_HOURS"

_SENSOR_SECONDS = 60


def build_definitions(environ: Mapping[str, str]) -> dg.Definitions:
    """Assets, checks, jobs, schedule, sensors and resources.

    Args:
        environ: the environment that decides; secrets in it are passed on by the variable's name only.

    Raises:
        UsageError: when a variable of ours cannot be understood.
    """
    partitions = daily_partitions(environ)
    seconds = _sensor_seconds(environ)
    return dg.Definitions(
        assets=_with_code_references(_marked(environ, [*day_assets(partitions), drift_gate])),
        jobs=[day_job(_deadline_seconds(environ)), gate_job(), render_days],
        schedules=[every_utc_day],
        sensors=[
            *day_sensors(partitions, every_seconds=seconds,
                         reobserve=reobserve_every(environ.get(REOBSERVE_VARIABLE))),
            *gate_sensors(every_seconds=seconds),
        ],
        resources=_resources(environ),
        # For what is materialised without a job, by backfills above all: a process for each step would only cost time.
        executor=dg.in_process_executor,
    )


def _marked(environ: Mapping[str, str], assets: Sequence[dg.AssetsDefinition]) -> Sequence[dg.AssetsDefinition]:
    """The assets, with a word about the demo where one stands in: what a person sees first must say so."""
    if not dev_demo.demo_wanted(environ):
        return assets
    return list(dg.map_asset_specs(
        lambda spec: spec.replace_attributes(
            description=f"**DEMO DATA.** {dev_demo.LOUD}\n\n{spec.description or ''}",
        ).merge_attributes(tags={"demo_data": ""}),
        assets,
    ))


def _with_code_references(assets: Sequence[dg.AssetsDefinition]) -> Sequence[Any]:
    """The assets with a link to their code; the function is a beta of Dagster's, and says so on every call."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.with_source_code_references(assets)


def _resources(environ: Mapping[str, str]) -> Mapping[str, object]:
    settings = read_settings(environ)

    def secret(variable: str) -> str | None:
        return dg.EnvVar(variable) if environ.get(variable) else None

    clock = ClockResource(simulated_now_file=environ.get(SIMULATED_NOW_VARIABLE) or None)
    notifier = NotifierResource(urls=secret(URLS_VARIABLE) or "", report_base_url=environ.get(LINK_VARIABLE, ""))
    if dev_demo.demo_wanted(environ):
        place = dev_demo.DIRECTORY.absolute()
        return {
            "source": SourceResource(demo_directory=str(place)),
            "ledger": LedgerResource(url=f"sqlite:///{place / 'ledger.db'}"),
            "audit_directory": AuditDirectory(path=str(place / "reports")),
            "clock": clock,
            "notifier": notifier,
        }
    return {
        "source": SourceResource(
            database_url=secret(SOURCE_VARIABLE),
            target_database_url=secret(TARGET_VARIABLE),
            mapping_file=settings.mapping_file,
        ),
        "ledger": LedgerResource(url=secret("ORGRECON_LEDGER_URL") or settings.ledger_url),
        "audit_directory": AuditDirectory(path=str(settings.output_dir)),
        "clock": clock,
        "notifier": notifier,
    }


def _deadline_seconds(environ: Mapping[str, str]) -> float:
    """The mapping's; a mapping that cannot be read is told by the runs, not by a code location that does not load."""
    try:
        return load_mapping(read_settings(environ).mapping_file, environ).scan.deadline_seconds
    except OrgreconError:
        return default_mapping().scan.deadline_seconds


def _sensor_seconds(environ: Mapping[str, str]) -> int:
    text = environ.get(SENSOR_SECONDS_VARIABLE) or str(_SENSOR_SECONDS)
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 3600):
        raise UsageError(f"{SENSOR_SECONDS_VARIABLE} is {text[:20]!a}: write whole seconds from 1 to 3600.")
    return int(text)
