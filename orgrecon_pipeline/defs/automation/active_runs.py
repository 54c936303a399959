"""What the instance knows of runs."""

from __future__ import annotations

import time
from collections.abc import Sequence

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

PARTITION_TAG = "dagster/partition"

MAX_RUNTIME_TAG = "dagster/max_runtime"

# Beyond the job's own maximum, an hour for the queue: a run whose process died where nobody watches must not stop all
# that follow.
_MAX_RUNTIME_SECONDS = 3 * 60 * 60
_QUEUED_SECONDS = 60 * 60


def is_running(
    instance: dg.DagsterInstance, *, partition: str | None = None, jobs: Sequence[str] = ()
) -> bool:
    """Whether a run is queued or under way: of that partition, or of one of those jobs."""
    tags = {PARTITION_TAG: partition} if partition else {}
    named: list[str | None] = [*jobs] or [None]
    filters = [dg.RunsFilter(statuses=list(NOT_FINISHED_STATUSES), tags=tags, job_name=name) for name in named]
    return any(
        not _is_forgotten(record) for one in filters for record in instance.get_run_records(filters=one, limit=20)
    )


def _is_forgotten(record: dg.RunRecord) -> bool:
    told = record.dagster_run.tags.get(MAX_RUNTIME_TAG, "")
    longest = int(told) if told.isascii() and told.isdigit() else _MAX_RUNTIME_SECONDS
    # Dagster's own clock stamps its runs.
    return record.create_timestamp.timestamp() <= time.time() - longest - _QUEUED_SECONDS
