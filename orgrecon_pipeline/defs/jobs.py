"""The jobs: one materialises a day, one decides the gate again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from orgrecon_pipeline.defs.automation.active_runs import MAX_RUNTIME_TAG
from orgrecon_pipeline.defs.gate_check import GATE_ASSET

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

JOB_NAME = "reconcile_day"
GATE_JOB_NAME = "decide_gate"

_HOUR = 60 * 60


def day_job(deadline_seconds: float) -> UnresolvedAssetJobDefinition:
    """All assets of a day and the gate, in one process: the heavy work is in the databases.

    A run that hangs holds its day for ever, and with it the queue. A comparison ends itself at its deadline
    (``scan.deadline_seconds``), so that whatever takes twice as long, and an hour for all the rest, hangs.
    """
    return dg.define_asset_job(
        JOB_NAME,
        selection=dg.AssetSelection.assets(
            "tenant_drift", "daily_summary", "rolling_window", "markdown_report", GATE_ASSET
        ),
        executor_def=dg.in_process_executor,
        tags={MAX_RUNTIME_TAG: str(int(2 * deadline_seconds) + _HOUR)},
        description="Observe a UTC day (today), or render a past one again from its evidence; then decide the gate.",
    )


def gate_job() -> UnresolvedAssetJobDefinition:
    """The gate alone, from the evidence that is there."""
    return dg.define_asset_job(
        GATE_JOB_NAME,
        selection=dg.AssetSelection.assets(GATE_ASSET),
        executor_def=dg.in_process_executor,
        tags={MAX_RUNTIME_TAG: "600"},
        description="Decide the gate again, where the evidence changed without a run of a day.",
    )
