"""The default code location: the component with the settings of the environment, and asset keys without a prefix."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.config.settings import DEFAULT_LEDGER_URL, Settings, read_settings
from orgrecon_pipeline.defs import dev_demo
from orgrecon_pipeline.defs.assemble import Parts, assemble
from orgrecon_pipeline.defs.component import KEY_PART, OrgreconComponent, SensorFields
from orgrecon_pipeline.defs.names import ComponentNames
from orgrecon_pipeline.domain.errors import OrgreconError, UsageError
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.notify.dispatch import LINK_VARIABLE
from orgrecon_pipeline.operations.gate.dagster_client import KEY_PREFIX_VARIABLE
from orgrecon_pipeline.operations.observe.due_days import reobserve_every
from orgrecon_pipeline.operations.report_request import start_date

SENSOR_SECONDS_VARIABLE = "ORGRECON_SENSOR_SECONDS"
REOBSERVE_VARIABLE = "ORGRECON_REOBSERVE_HOURS"

_SENSOR_SECONDS = 60


def build_definitions(environ: Mapping[str, str]) -> dg.Definitions:
    """Return assets, checks, jobs, schedule, sensors and the resource. Secrets are named, never contained.

    Raises:
        UsageError: if a variable has an invalid value.
    """
    definitions = assemble(_parts(environ))
    assets = list(definitions.assets or ())
    if dev_demo.dev_demo_enabled(environ):
        assets = _marked_as_demo(assets)
    return dg.Definitions(
        assets=_with_code_references(assets), jobs=definitions.jobs, schedules=definitions.schedules,
        sensors=definitions.sensors, resources=definitions.resources,
        # For runs without a job, such as backfills: one process per step would only cost time.
        executor=dg.in_process_executor,
    )


def default_names(environ: Mapping[str, str]) -> ComponentNames:
    """Return the names in the default code location.

    Raises:
        UsageError: if a variable has an invalid value.
    """
    return _parts(environ).names


def _parts(environ: Mapping[str, str]) -> Parts:
    settings = read_settings(environ)
    resource: dict[str, str | None] = {
        "mapping_file": settings.mapping_file, "ledger_url": DEFAULT_LEDGER_URL, "output_dir": str(settings.output_dir)}
    if dev_demo.dev_demo_enabled(environ):
        directory = dev_demo.DIRECTORY.absolute()
        resource |= {"demo_directory": str(directory), "ledger_url": f"sqlite:///{directory / 'ledger.db'}",
                     "output_dir": str(directory / "reports")}
    component = OrgreconComponent(
        key_prefix=_key_prefix(environ), owners=["team:platform"], start_date=start_date(environ).isoformat(),
        sensors=SensorFields(every_seconds=_sensor_seconds(environ), reobserve_hours=_reobserve_hours(environ)),
        report_base_url=environ.get(LINK_VARIABLE, ""),
    )
    return component.parts(_mapping(settings), environ, **resource)


def _mapping(settings: Settings) -> MappingConfig:
    # An invalid mapping fails the runs, which name the problem. The code location must still load.
    try:
        return settings.mapping
    except OrgreconError:
        return default_mapping()


def _marked_as_demo(assets: Sequence[Any]) -> list[Any]:
    # The description is the first text that the UI shows of an asset.
    return list(dg.map_asset_specs(
        lambda spec: spec.replace_attributes(
            description=f"**DEMO DATA.** {dev_demo.DEMO_NOTICE}\n\n{spec.description or ''}",
        ).merge_attributes(tags={"demo_data": ""}),
        assets,
    ))


def _with_code_references(assets: Sequence[Any]) -> Sequence[Any]:
    # The function is in beta and warns on every call.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.with_source_code_references(assets)


def _key_prefix(environ: Mapping[str, str]) -> list[str]:
    text = environ.get(KEY_PREFIX_VARIABLE, "")
    parts = text.split("/") if text else []
    if not all(KEY_PART.fullmatch(part) for part in parts):
        raise UsageError(f"{KEY_PREFIX_VARIABLE} is {text[:80]!a}: set it to parts of letters, digits and _, separated "
                         "by /, such as org_v23/prod.")
    return parts


def _reobserve_hours(environ: Mapping[str, str]) -> float | None:
    every = reobserve_every(environ.get(REOBSERVE_VARIABLE))
    return every / timedelta(hours=1) if every else None


def _sensor_seconds(environ: Mapping[str, str]) -> int:
    text = environ.get(SENSOR_SECONDS_VARIABLE) or str(_SENSOR_SECONDS)
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 3600):
        raise UsageError(
            f"{SENSOR_SECONDS_VARIABLE} is {text[:20]!a}: set it to a whole number of seconds from 1 to 3600.")
    return int(text)
