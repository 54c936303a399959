"""The jobs that materialise a day and decide the gate, and a function that detects active runs."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator

import dagster as dg

from orgrecon_pipeline.defs.dagster_internals import UnresolvedAssetJobDefinition
from orgrecon_pipeline.defs.names import ComponentNames

JOB_NAME = "reconcile_day"
GATE_JOB_NAME = "decide_gate"
PARTITION_TAG = "dagster/partition"
MAX_RUNTIME_TAG = "dagster/max_runtime"

# Dagster's job for assets that are materialised without a job, in the UI or by a backfill.
_IMPLICIT_JOB = "__ASSET_JOB"
_HOUR_SECONDS = 60 * 60
_GATE_SECONDS = 600
_DEFAULT_MAX_SECONDS = 3 * _HOUR_SECONDS
_UNFINISHED = [dg.DagsterRunStatus[name] for name in (
    "NOT_STARTED", "QUEUED", "STARTING", "STARTED", "CANCELING", "SUSPENDED")]


def day_job(names: ComponentNames, deadline_seconds: float) -> UnresolvedAssetJobDefinition:
    """Return the job that materialises the assets of a day and then the gate, in one process.

    A comparison ends by itself at the mapping's ``scan.deadline_seconds``. Dagster stops a run after twice that time
    plus an hour: a run that hangs would block its day.
    """
    return dg.define_asset_job(
        names.name(JOB_NAME),
        selection=names.selection(),
        executor_def=dg.in_process_executor,
        tags={**names.tags, MAX_RUNTIME_TAG: str(int(2 * deadline_seconds) + _HOUR_SECONDS)},
        description="Compares today (UTC), or renders a past day again from its evidence; then decides the gate.",
    )


def gate_job(names: ComponentNames) -> UnresolvedAssetJobDefinition:
    """Return the job that decides the gate from the evidence in the ledger."""
    return dg.define_asset_job(
        names.name(GATE_JOB_NAME),
        selection=names.selection("drift_gate"),
        executor_def=dg.in_process_executor,
        tags={**names.tags, MAX_RUNTIME_TAG: str(_GATE_SECONDS)},
        description="Decides the gate again after the evidence changed without a run of a day.",
    )


def is_running(
    instance: dg.DagsterInstance, names: ComponentNames, assets: Collection[dg.AssetKey], *,
    partition: str | None = None, jobs: Collection[str] = (JOB_NAME,),
) -> bool:
    """Return whether a run of the component is queued or running: of one of ``jobs``, or of its ``assets`` alone.

    Runs of other components, and everything else in the code location and the instance, do not count.
    """
    return any(not _is_abandoned(record) for record in _unfinished(instance, names, assets, partition, jobs))


def _unfinished(
    instance: dg.DagsterInstance, names: ComponentNames, assets: Collection[dg.AssetKey], partition: str | None,
    jobs: Collection[str],
) -> Iterator[dg.RunRecord]:
    tags = {PARTITION_TAG: partition} if partition else {}
    for job in jobs:
        yield from instance.get_run_records(
            dg.RunsFilter(statuses=_UNFINISHED, job_name=names.name(job), tags={**names.tags, **tags}))
    # Such a run has no tag of ours. It names the assets that it materialises.
    for record in instance.get_run_records(dg.RunsFilter(statuses=_UNFINISHED, job_name=_IMPLICIT_JOB, tags=tags)):
        if set(assets) & (record.dagster_run.asset_selection or frozenset()):
            yield record


def _is_abandoned(record: dg.RunRecord) -> bool:
    # Without run monitoring, a run whose process died is never marked as finished. It must not block later runs.
    maximum = record.dagster_run.tags.get(MAX_RUNTIME_TAG, "")
    seconds = int(maximum) if maximum.isascii() and maximum.isdigit() else _DEFAULT_MAX_SECONDS
    # The machine's clock, not the injected one: Dagster stamps its runs with it.
    return record.create_timestamp.timestamp() <= time.time() - seconds - _HOUR_SECONDS  # and an hour in the queue
