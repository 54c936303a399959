"""The jobs: one materialises a day, one decides the gate again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from orgrecon_pipeline.defs.gate_check import GATE_ASSET

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

JOB_NAME = "reconcile_day"
GATE_JOB_NAME = "decide_gate"

# A run that hangs holds its day for ever, and with it the queue; nothing that is meant to end takes this long.
_MAX_RUNTIME_SECONDS = 3 * 60 * 60


def day_job() -> UnresolvedAssetJobDefinition:
    """All assets of a day and the gate, in one process: the heavy work is in the databases."""
    return dg.define_asset_job(
        JOB_NAME,
        selection=dg.AssetSelection.assets(
            "tenant_drift", "daily_summary", "rolling_window", "markdown_report", GATE_ASSET
        ),
        executor_def=dg.in_process_executor,
        tags={"dagster/max_runtime": str(_MAX_RUNTIME_SECONDS)},
        description="Observe a UTC day (today), or render a past one again from its evidence; then decide the gate.",
    )


def gate_job() -> UnresolvedAssetJobDefinition:
    """The gate alone, from the evidence that is there."""
    return dg.define_asset_job(
        GATE_JOB_NAME,
        selection=dg.AssetSelection.assets(GATE_ASSET),
        executor_def=dg.in_process_executor,
        tags={"dagster/max_runtime": "600"},
        description="Decide the gate again, where the evidence changed without a run of a day.",
    )
