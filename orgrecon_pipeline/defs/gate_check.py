"""The check ``seven_day_zero_delta`` as the instance holds it: what it says, and saying it anew when evidence came."""

from __future__ import annotations

from datetime import date

import dagster as dg
from dagster import AssetCheckEvaluation, AssetCheckKey, AssetKey
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from orgrecon_pipeline.defs.assets import metadata as describe
from orgrecon_pipeline.domain.canonical import sha256_of
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.gate.current import GateAnswer, current_gate

GATE_ASSET = "drift_gate"
GATE_CHECK = "seven_day_zero_delta"

_KEY = AssetKey(GATE_ASSET)
_CHECK = AssetCheckKey(_KEY, GATE_CHECK)
_EVALUATED = (AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED)


def gate_now(work: Context) -> GateAnswer:
    """What the ledger says about the gate at this moment."""
    policy = work.mapping.gate
    days = work.ledger.evidence(date.max, policy.same_day)
    return current_gate(days, policy, work.clock.judging(seen.provenance for seen in days.values()))


def digest(answer: GateAnswer) -> str:
    """What tells two answers apart."""
    return sha256_of(answer.as_json_value())


def told_digest(instance: dg.DagsterInstance) -> str:
    """The digest of the answer that the check holds; empty when it holds none that Dagster shows.

    Dagster shows the check of the run that was *created* last, and only on the latest materialisation: of two runs
    that overtook one another it may show nothing at all.
    """
    record = _latest(instance)
    if record is None or record.status not in _EVALUATED or record.event is None:
        return ""
    latest = _materialised(instance)
    target = record.evaluation.target_materialization_data if record.evaluation else None
    if latest is not None and latest.run_id != record.run_id and \
            (target is None or target.storage_id != latest.storage_id):
        return ""
    answer = record.evaluation.metadata.get("answer") if record.evaluation else None
    return sha256_of(answer.value) if isinstance(answer, dg.JsonMetadataValue) else ""


def latest_id(instance: dg.DagsterInstance) -> int:
    """The number of the check's latest execution; 0 before the first."""
    record = _latest(instance)
    return record.id if record else 0


def about_to_be_decided(instance: dg.DagsterInstance) -> bool:
    """Whether the check's latest execution is planned, by a run that is not finished."""
    record = _latest(instance)
    if record is None or record.status is not AssetCheckExecutionRecordStatus.PLANNED:
        return False
    run = instance.get_run_by_id(record.run_id)
    return run is not None and not run.is_finished


def tell_check(instance: dg.DagsterInstance, work: Context) -> bool:
    """Let the check say at once what the ledger says, where no run is about to; whether that was needed.

    For evidence that comes without a run of ``drift_gate``: a check that is passed must not outlive it.
    """
    answer = gate_now(work)
    if told_digest(instance) == digest(answer) or about_to_be_decided(instance):
        return False
    metadata = describe.gate(answer)
    instance.report_runless_asset_event(dg.AssetMaterialization(asset_key=_KEY, metadata=metadata))
    latest = _materialised(instance)
    target = latest and AssetCheckEvaluationTargetMaterializationData(
        storage_id=latest.storage_id, run_id=latest.run_id, timestamp=latest.timestamp)
    instance.report_runless_asset_event(AssetCheckEvaluation(
        asset_key=_KEY, check_name=GATE_CHECK, passed=answer.open, metadata=metadata,
        severity=dg.AssetCheckSeverity.ERROR, target_materialization_data=target,
    ))
    return True


def _latest(instance: dg.DagsterInstance) -> AssetCheckExecutionRecord | None:
    return instance.event_log_storage.get_latest_asset_check_execution_by_key([_CHECK]).get(_CHECK)


def _materialised(instance: dg.DagsterInstance) -> dg.EventLogRecord | None:
    return next(iter(instance.fetch_materializations(_KEY, limit=1).records), None)
