"""All definitions, from an environment."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.defs.assets import day_assets
from orgrecon_pipeline.defs.jobs import day_job
from orgrecon_pipeline.defs.partitions import daily_partitions
from orgrecon_pipeline.defs.resources import AuditDirectory, ClockResource, LedgerResource, SourceResource
from orgrecon_pipeline.operations.context import SOURCE_VARIABLE, TARGET_VARIABLE


def build_definitions(environ: Mapping[str, str]) -> dg.Definitions:
    """Assets, checks, job, schedule, sensors and resources.

    Args:
        environ: the environment that decides; secrets in it are passed on by the variable's name only.
    """
    partitions = daily_partitions(environ)
    settings = read_settings(environ)

    def secret(variable: str) -> str | None:
        return dg.EnvVar(variable) if environ.get(variable) else None

    return dg.Definitions(
        assets=day_assets(partitions),
        jobs=[day_job()],
        resources={
            "source": SourceResource(
                database_url=secret(SOURCE_VARIABLE),
                target_database_url=secret(TARGET_VARIABLE),
                mapping_file=settings.mapping_file,
            ),
            "ledger": LedgerResource(url=secret("ORGRECON_LEDGER_URL") or settings.ledger_url),
            "audit_directory": AuditDirectory(path=str(settings.output_dir)),
            "clock": ClockResource(simulated_now_file=environ.get("ORGRECON_SIMULATED_NOW_FILE") or None),
        },
    )
