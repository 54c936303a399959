"""The jobs that materialise a day and decide the gate, and a function that detects active runs."""

from __future__ import annotations

import time
from collections.abc import Sequence

import dagster as dg

from orgrecon_pipeline.defs.dagster_internals import UnresolvedAssetJobDefinition
from orgrecon_pipeline.defs.gate_check import GATE_ASSET

JOB_NAME = "reconcile_day"
GATE_JOB_NAME = "decide_gate"
PARTITION_TAG = "dagster/partition"
MAX_RUNTIME_TAG = "dagster/max_runtime"

_HOUR_SECONDS = 60 * 60
_GATE_SECONDS = 600
_DEFAULT_MAX_SECONDS = 3 * _HOUR_SECONDS
_UNFINISHED = [dg.DagsterRunStatus[name] for name in (
    "NOT_STARTED", "QUEUED", "STARTING", "STARTED", "CANCELING", "SUSPENDED")]


def day_job(deadline_seconds: float) -> UnresolvedAssetJobDefinition:
    """Return the job that materialises the assets of a day and then the gate, in one process.

    A comparison ends by itself at the mapping's ``scan.deadline_seconds``. Dagster stops a run after twice that time
    plus an hour: a run that hangs would block its day.
    """
    return dg.define_asset_job(
        JOB_NAME,
        selection=dg.AssetSelection.assets(
            "tenant_drift", "daily_summary", "rolling_window", "markdown_report", GATE_ASSET),
        executor_def=dg.in_process_executor,
        tags={MAX_RUNTIME_TAG: str(int(2 * deadline_seconds) + _HOUR_SECONDS)},
        description="Compares today (UTC), or renders a past day again from its evidence; then decides the gate.",
    )


def gate_job() -> UnresolvedAssetJobDefinition:
    """Return the job that decides the gate from the evidence in the ledger."""
    return dg.define_asset_job(
        GATE_JOB_NAME,
        selection=dg.AssetSelection.assets(GATE_ASSET),
        executor_def=dg.in_process_executor,
        tags={MAX_RUNTIME_TAG: str(_GATE_SECONDS)},
        description="Decides the gate again after the evidence changed without a run of a day.",
    )


def is_running(instance: dg.DagsterInstance, *, partition: str | None = None, jobs: Sequence[str] = ()) -> bool:
    """Return whether a run, of the partition and one of the jobs if they are given, is queued or running."""
    tags = {PARTITION_TAG: partition} if partition else {}
    names: list[str | None] = [*jobs] or [None]
    filters = [dg.RunsFilter(statuses=_UNFINISHED, tags=tags, job_name=name) for name in names]
    return any(not _is_abandoned(record) for runs in filters for record in instance.get_run_records(runs, limit=20))


def _is_abandoned(record: dg.RunRecord) -> bool:
    # Without run monitoring, a run whose process died is never marked as finished. It must not block later runs.
    maximum = record.dagster_run.tags.get(MAX_RUNTIME_TAG, "")
    seconds = int(maximum) if maximum.isascii() and maximum.isdigit() else _DEFAULT_MAX_SECONDS
    # The machine's clock, not the injected one: Dagster stamps its runs with it.
    return record.create_timestamp.timestamp() <= time.time() - seconds - _HOUR_SECONDS  # and an hour in the queue
