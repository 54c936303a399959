"""One job materialises a day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

JOB_NAME = "reconcile_day"


def day_job() -> UnresolvedAssetJobDefinition:
    """All assets of a day and the gate, in one process: the heavy work is in the databases."""
    return dg.define_asset_job(
        JOB_NAME,
        selection=dg.AssetSelection.assets(
            "tenant_drift", "daily_summary", "rolling_window", "markdown_report", "drift_gate"
        ),
        executor_def=dg.in_process_executor,
        description="Observe a UTC day (today), or render a past one again from its evidence; then decide the gate.",
    )
