"""Names that Dagster does not export: stored asset checks, and the type of a job that is not yet resolved.

Check this module when Dagster is upgraded; nothing else in the package imports ``dagster._core``.
"""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

__all__ = ["CHECKED_VERSION", "AssetCheckExecutionRecord", "UnresolvedAssetJobDefinition", "evaluation_target",
           "is_evaluated", "is_planned", "latest_check_execution", "latest_evaluations"]

#: The version of Dagster that this module was written for and last checked against.
CHECKED_VERSION = "1.13.27"

_EVALUATED = (AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED)


def latest_check_execution(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> AssetCheckExecutionRecord | None:
    """Return the execution of the check that was created last, or None before the first."""
    return instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).get(key)


def latest_evaluations(
    instance: dg.DagsterInstance, key: dg.AssetCheckKey, limit: int
) -> list[AssetCheckExecutionRecord]:
    """Return the executions of the check that ended with a result, latest first."""
    records = instance.event_log_storage.get_asset_check_execution_history(key, limit, status=set(_EVALUATED))
    return [record for record in records if is_evaluated(record) and record.evaluation is not None]


def is_evaluated(record: AssetCheckExecutionRecord) -> bool:
    """Return whether the execution ended with a result."""
    return record.status in _EVALUATED and record.event is not None


def is_planned(record: AssetCheckExecutionRecord) -> bool:
    """Return whether the execution was planned by a run and has no result yet."""
    return record.status is AssetCheckExecutionRecordStatus.PLANNED


def evaluation_target(materialization: dg.EventLogRecord) -> AssetCheckEvaluationTargetMaterializationData:
    """Return the reference to the materialisation that a check result is about."""
    return AssetCheckEvaluationTargetMaterializationData(
        storage_id=materialization.storage_id, run_id=materialization.run_id, timestamp=materialization.timestamp)
