"""Dagster definitions, built from an environment."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from orgrecon_pipeline.config.mapping_file import default_mapping, load_mapping
from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.defs import dev_demo, resources
from orgrecon_pipeline.defs.assets.day import day_assets, drift_gate
from orgrecon_pipeline.defs.assets.partitions import daily_partitions
from orgrecon_pipeline.defs.automation.daily import day_sensors, every_utc_day
from orgrecon_pipeline.defs.automation.gate_sensors import gate_sensors
from orgrecon_pipeline.defs.jobs import day_job, gate_job
from orgrecon_pipeline.defs.render_job import render_days
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
    """Return assets, checks, jobs, schedule, sensors and resources. Secrets are passed to Dagster by name only.

    Raises:
        UsageError: if a variable has an invalid value.
    """
    partitions = daily_partitions(environ)
    seconds = _sensor_seconds(environ)
    assets = [*day_assets(partitions), drift_gate]
    if dev_demo.dev_demo_enabled(environ):
        assets = _marked_as_demo(assets)
    return dg.Definitions(
        assets=_with_code_references(assets),
        jobs=[day_job(_deadline_seconds(environ)), gate_job(), render_days],
        schedules=[every_utc_day],
        sensors=[
            *day_sensors(partitions, every_seconds=seconds, reobserve=reobserve_every(environ.get(REOBSERVE_VARIABLE))),
            *gate_sensors(every_seconds=seconds),
        ],
        resources=_resources(environ),
        # For runs without a job, such as backfills: one process per step would only cost time.
        executor=dg.in_process_executor,
    )


def _marked_as_demo(assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    # The description is the first text that the UI shows of an asset.
    return list(dg.map_asset_specs(
        lambda spec: spec.replace_attributes(
            description=f"**DEMO DATA.** {dev_demo.DEMO_NOTICE}\n\n{spec.description or ''}",
        ).merge_attributes(tags={"demo_data": ""}),
        assets,
    ))


def _with_code_references(assets: Sequence[dg.AssetsDefinition]) -> Sequence[Any]:
    # The function is in beta and warns on every call.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.with_source_code_references(assets)


def _resources(environ: Mapping[str, str]) -> Mapping[str, object]:
    settings = read_settings(environ)

    def secret(variable: str) -> str | None:
        return dg.EnvVar(variable) if environ.get(variable) else None

    if dev_demo.dev_demo_enabled(environ):
        directory = dev_demo.DIRECTORY.absolute()
        source = resources.SourceResource(demo_directory=str(directory))
        ledger_url, output_dir = f"sqlite:///{directory / 'ledger.db'}", directory / "reports"
    else:
        source = resources.SourceResource(
            database_url=secret(SOURCE_VARIABLE), target_database_url=secret(TARGET_VARIABLE),
            mapping_file=settings.mapping_file)
        ledger_url, output_dir = secret("ORGRECON_LEDGER_URL") or settings.ledger_url, settings.output_dir
    return {
        "source": source,
        "ledger": resources.LedgerResource(url=ledger_url),
        "audit_directory": resources.OutputDirectoryResource(path=str(output_dir)),
        "clock": resources.ClockResource(simulated_now_file=environ.get(SIMULATED_NOW_VARIABLE) or None),
        "notifier": resources.NotifierResource(
            urls=secret(URLS_VARIABLE) or "", report_base_url=environ.get(LINK_VARIABLE, "")),
    }


def _deadline_seconds(environ: Mapping[str, str]) -> float:
    # An invalid mapping fails the runs, which name the problem. The code location must still load.
    try:
        return load_mapping(read_settings(environ).mapping_file, environ).scan.deadline_seconds
    except OrgreconError:
        return default_mapping().scan.deadline_seconds


def _sensor_seconds(environ: Mapping[str, str]) -> int:
    text = environ.get(SENSOR_SECONDS_VARIABLE) or str(_SENSOR_SECONDS)
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 3600):
        raise UsageError(
            f"{SENSOR_SECONDS_VARIABLE} is {text[:20]!a}: set it to a whole number of seconds from 1 to 3600.")
    return int(text)
