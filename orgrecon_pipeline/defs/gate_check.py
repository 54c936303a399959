"""The check ``seven_day_zero_delta`` in a Dagster instance: the answer it displays, and how it is refreshed.

``asset`` is always the key of the asset that has the check: a company can rename our assets.
"""

from __future__ import annotations

import dagster as dg

from orgrecon_pipeline.defs.assets import metadata as describe
from orgrecon_pipeline.defs.dagster_internals import (
    evaluation_target,
    is_evaluated,
    is_planned,
    latest_check_execution,
)
from orgrecon_pipeline.domain.canonical import sha256_of
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.gate.current import GateAnswer, current_gate
from orgrecon_pipeline.operations.gate.sources import evidence_of_ledger

GATE_ASSET = "drift_gate"
GATE_CHECK = "seven_day_zero_delta"
#: The key of the asset in the default code location.
GATE_KEY = dg.AssetKey(GATE_ASSET)


def gate_now(context: Context) -> GateAnswer:
    """Return the gate's answer according to the ledger at this moment."""
    mapping = context.mapping
    days, distrust = evidence_of_ledger(context.ledger, context.output_dir, mapping.gate)
    now = context.clock.now_for(day.provenance for day in days.values())
    return current_gate(days, mapping.gate, now, identity=context.ledger.identity, ledger=context.ledger.id,
                        mapping_digest=mapping.digest, distrust=distrust)


def answer_digest(answer: GateAnswer) -> str:
    """Return a digest that differs between different answers."""
    return sha256_of(answer.as_json_value())


def displayed_digest(instance: dg.DagsterInstance, asset: dg.AssetKey) -> str:
    """Return the digest of the answer that Dagster displays for the check; empty if it displays none.

    Dagster displays the check execution that was *created* last, and only if it belongs to the latest
    materialisation. If two runs overlap, it may therefore display no answer.
    """
    record = latest_check_execution(instance, _check_key(asset))
    if record is None or not is_evaluated(record) or record.evaluation is None:
        return ""
    latest = _latest_materialization(instance, asset)
    target = record.evaluation.target_materialization_data
    if latest is not None and latest.run_id != record.run_id and \
            (target is None or target.storage_id != latest.storage_id):
        return ""
    answer = record.evaluation.metadata.get("answer")
    return sha256_of(answer.value) if isinstance(answer, dg.JsonMetadataValue) else ""


def latest_execution_id(instance: dg.DagsterInstance, asset: dg.AssetKey) -> int:
    """Return the storage id of the check's latest execution; 0 before the first."""
    record = latest_check_execution(instance, _check_key(asset))
    return record.id if record else 0


def decision_is_planned(instance: dg.DagsterInstance, asset: dg.AssetKey) -> bool:
    """Return whether an unfinished run has planned the check's latest execution."""
    record = latest_check_execution(instance, _check_key(asset))
    if record is None or not is_planned(record):
        return False
    run = instance.get_run_by_id(record.run_id)
    return run is not None and not run.is_finished


def refresh_gate_check(instance: dg.DagsterInstance, context: Context, asset: dg.AssetKey) -> bool:
    """Store the ledger's answer as the check's result, unless it is displayed already or a run will do so.

    Call it after evidence changed without a run of ``drift_gate``, so that no outdated result stays displayed.

    Returns:
        Whether a result was stored.
    """
    answer = gate_now(context)
    if displayed_digest(instance, asset) == answer_digest(answer) or decision_is_planned(instance, asset):
        return False
    metadata = describe.gate(answer)
    instance.report_runless_asset_event(dg.AssetMaterialization(asset_key=asset, metadata=metadata))
    latest = _latest_materialization(instance, asset)
    instance.report_runless_asset_event(dg.AssetCheckEvaluation(
        asset_key=asset, check_name=GATE_CHECK, passed=answer.open, metadata=metadata,
        severity=dg.AssetCheckSeverity.ERROR, target_materialization_data=latest and evaluation_target(latest),
    ))
    return True


def _check_key(asset: dg.AssetKey) -> dg.AssetCheckKey:
    return dg.AssetCheckKey(asset, GATE_CHECK)


def _latest_materialization(instance: dg.DagsterInstance, asset: dg.AssetKey) -> dg.EventLogRecord | None:
    return next(iter(instance.fetch_materializations(asset, limit=1).records), None)
