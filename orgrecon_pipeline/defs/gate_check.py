"""The check ``seven_day_zero_delta`` in a Dagster instance: its result, the displayed answer, and the refresh.

``asset`` is always the key of the asset that has the check. A company can rename that asset.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cached_property
from typing import Any

import dagster as dg

from orgrecon_pipeline.defs.assets import metadata as describe
from orgrecon_pipeline.defs.dagster_internals import (
    AssetCheckExecutionRecord,
    evaluation_target,
    is_evaluated,
    is_planned,
    latest_check_execution,
    latest_evaluations,
)
from orgrecon_pipeline.domain.canonical import sha256_of
from orgrecon_pipeline.domain.gate.claims import Claim, Claimant, claims_of_evaluation, other_claims, other_ledger
from orgrecon_pipeline.domain.gate.state import GateState
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.gate.accept_ledger import accepted_ledgers
from orgrecon_pipeline.operations.gate.current import GateAnswer
from orgrecon_pipeline.operations.gate.dagster_evaluations import GATE_CHECK
from orgrecon_pipeline.operations.gate.sources import GateEvidence, evidence_of_context
from orgrecon_pipeline.operations.gate.tenant_summary import TenantSummary
from orgrecon_pipeline.operations.gate.tenants import TenantGates

# Evaluations that are read for their claims. Each carries the claims of those before it, so only evaluations that ran
# at the same time can lack a claim.
_EVALUATIONS = 25

_SHOWN_TENANTS = 20  # of each group


@dataclass(frozen=True)
class CheckResult:
    """The result of the check: the evidence, the observations of the gate's window, and the claims of other ledgers."""

    evidence: GateEvidence
    observations: Collection[str]
    claims: Sequence[Claim]

    @cached_property
    def answer(self) -> GateAnswer:
        """The gate's answer."""
        return self.evidence.answer

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Metadata of the check. ``orgrecon gate --dagster-url`` reads ``answer`` and ``claims``."""
        return {**describe.gate(self.answer), "identity": str(self.answer.identity), "ledger": self.answer.ledger or "",
                "observations": dg.JsonMetadataValue(sorted(self.observations)),
                "claims": dg.JsonMetadataValue([claim.as_json_value() for claim in self.claims])}

    @property
    def asset_metadata(self) -> Mapping[str, Any]:
        """Metadata of the asset: that of the check, and the gates of the tenants."""
        summary = TenantSummary.of(TenantGates(self.evidence), _SHOWN_TENANTS)
        # Dagster shows the metadata in this order: first the part for people, then the part for programs.
        return {**describe.gate(self.answer), **describe.tenant_gates(summary), **self.metadata}


def result_now(instance: dg.DagsterInstance, context: Context, asset: dg.AssetKey) -> CheckResult:
    """Return the result of the check at this moment, CLOSED if another ledger evaluates the same check."""
    own = Claimant(context.ledger.identity, context.ledger.id)
    records = latest_evaluations(instance, _check_key(asset), _EVALUATIONS)
    evidence = evidence_of_context(context)
    observations = {observation.id for row in evidence.answer.decision.window
                    for observation in context.ledger.observations(row.day)}
    evaluated = [claim for record in records for claim in _claims_of(record)]
    evaluated += _claims_of_copies(records, own, context.ledger, known=observations)
    claims = other_claims(evaluated, own, accepted_ledgers(context.ledger))
    unaccepted = next((claim for claim in claims if not claim.accepted), None)
    if unaccepted is not None:
        evidence = replace(evidence, distrust=other_ledger(unaccepted))
    return CheckResult(evidence, observations, claims)


def _claims_of_copies(
    records: Iterable[AssetCheckExecutionRecord], own: Claimant, ledger: Ledger, *, known: Collection[str]
) -> list[Claim]:
    """Return a claim for each evaluation with the id of this ledger that was based on evidence that it lacks.

    A copy of the ledger, or its state before it was restored from an older backup, made it.
    """
    known, claims = set(known), []
    for record in records:
        listed = _json_metadata(record, "observations")
        if _claims_of(record)[0].claimant == own:
            unknown = set(map(str, listed)) - known if isinstance(listed, list) else {""}
            if all(ledger.observation(id_) for id_ in unknown):
                known |= unknown
            else:
                claims.append(Claim(replace(own, copy=True), _stored_at(record)))
    return claims


def answer_digest(answer: GateAnswer) -> str:
    """Return a digest that differs between different answers."""
    return sha256_of(answer.as_json_value())


def is_displayed(instance: dg.DagsterInstance, asset: dg.AssetKey, result: CheckResult) -> bool:
    """Return whether Dagster displays this result for the check.

    An answer names the last link of the ledger's chain, so it differs after every observation, as the gates of tenants
    may. If several ledgers evaluate the check, the CLOSED result of any of them is enough. Otherwise each
    would keep replacing the results of the others.
    """
    record = _displayed(instance, asset)
    displayed = _json_metadata(record, "answer") if record else None
    if record is None or not isinstance(displayed, dict):
        return False
    conflict = ReasonCode.OTHER_LEDGER
    if result.answer.decision.reason.code is conflict and displayed.get("reason_code") == conflict.value:
        return displayed.get("state") == GateState.CLOSED.value
    return sha256_of(displayed) == answer_digest(result.answer)


def _displayed(instance: dg.DagsterInstance, asset: dg.AssetKey) -> AssetCheckExecutionRecord | None:
    """Return the execution that Dagster displays for the check, None if there is none or a later answer differs.

    Dagster displays the check execution that was *created* last, and only if it belongs to the latest
    materialisation. If two runs overlap, it may therefore display no answer, or not the one that was stored last.
    """
    record = latest_check_execution(instance, _check_key(asset))
    if record is None or not is_evaluated(record) or record.evaluation is None:
        return None
    latest = _latest_materialization(instance, asset)
    target = record.evaluation.target_materialization_data
    if latest is not None and latest.run_id != record.run_id and \
            (target is None or target.storage_id != latest.storage_id):
        return None
    last = max(latest_evaluations(instance, _check_key(asset), _EVALUATIONS), key=_stored_at)
    return record if _json_metadata(record, "answer") == _json_metadata(last, "answer") else None


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
    if decision_is_planned(instance, asset):
        return False
    result = result_now(instance, context, asset)
    if is_displayed(instance, asset, result):
        return False
    instance.report_runless_asset_event(dg.AssetMaterialization(asset_key=asset, metadata=result.asset_metadata))
    latest = _latest_materialization(instance, asset)
    instance.report_runless_asset_event(dg.AssetCheckEvaluation(
        asset_key=asset, check_name=GATE_CHECK, passed=result.answer.open, metadata=result.metadata,
        severity=dg.AssetCheckSeverity.ERROR, target_materialization_data=latest and evaluation_target(latest),
    ))
    return True


def _claims_of(record: AssetCheckExecutionRecord) -> Sequence[Claim]:
    return claims_of_evaluation(_stored_at(record), _json_metadata(record, "answer"), _json_metadata(record, "claims"))


def _stored_at(record: AssetCheckExecutionRecord) -> datetime:
    assert record.event is not None  # noqa: S101 - only evaluated records come here
    return datetime.fromtimestamp(record.event.timestamp, timezone.utc)


def _json_metadata(record: AssetCheckExecutionRecord, label: str) -> Any:
    value = record.evaluation.metadata.get(label) if record.evaluation else None
    return value.value if isinstance(value, dg.JsonMetadataValue) else None


def _check_key(asset: dg.AssetKey) -> dg.AssetCheckKey:
    return dg.AssetCheckKey(asset, GATE_CHECK)


def _latest_materialization(instance: dg.DagsterInstance, asset: dg.AssetKey) -> dg.EventLogRecord | None:
    return next(iter(instance.fetch_materializations(asset, limit=1).records), None)
