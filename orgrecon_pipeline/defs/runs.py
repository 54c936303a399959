"""What the instance knows of runs."""

from __future__ import annotations

import time
from collections.abc import Sequence

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

PARTITION_TAG = "dagster/partition"

# Beyond the job's own maximum: a run whose process died where nobody watches must not stop all that follow.
_FORGOTTEN_SECONDS = 4 * 60 * 60


def is_running(
    instance: dg.DagsterInstance, *, partition: str | None = None, jobs: Sequence[str] = ()
) -> bool:
    """Whether a run is queued or under way: of that partition, or of one of those jobs."""
    tags = {PARTITION_TAG: partition} if partition else {}
    named: list[str | None] = [*jobs] or [None]
    filters = [dg.RunsFilter(statuses=list(NOT_FINISHED_STATUSES), tags=tags, job_name=name) for name in named]
    newest = time.time() - _FORGOTTEN_SECONDS  # Dagster's own clock stamps its runs
    return any(
        record.create_timestamp.timestamp() > newest
        for one in filters for record in instance.get_run_records(filters=one, limit=20)
    )
