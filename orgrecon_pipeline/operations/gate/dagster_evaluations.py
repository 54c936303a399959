"""Evaluations of the gate's check, read from GraphQL responses, which are not trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from orgrecon_pipeline.domain.gate.claims import Claim, claims_of_evaluation
from orgrecon_pipeline.domain.gate.state import GateState
from orgrecon_pipeline.operations.gate.current import GateAnswer
from orgrecon_pipeline.operations.gate.dagster_server import NotConfirmed, parse_json

GATE_CHECK = "seven_day_zero_delta"
#: Number of executions that are compared with the displayed one.
EXECUTIONS = 25
#: The fields of an execution that this module reads.
FIELDS = "status evaluation { success timestamp metadataEntries { label ... on JsonMetadataEntry { jsonString } } }"


@dataclass(frozen=True)
class Evaluation:
    """A stored result of the check; its own claim comes first in ``claims``."""

    passed: bool
    at: datetime
    claims: Sequence[Claim]


def displayed_evaluation(execution: Mapping[str, Any]) -> tuple[GateAnswer, Evaluation]:
    """Return the answer of the execution that Dagster displays; raise NotConfirmed if it has none."""
    status = execution.get("status")
    if status == "IN_PROGRESS":
        raise NotConfirmed("the check is still running: ask again later")
    if status not in ("SUCCEEDED", "FAILED"):
        raise NotConfirmed(f"the check did not finish ({_word(status)}): see its run in Dagster")
    evaluation = execution.get("evaluation")
    if not isinstance(evaluation, dict):
        raise NotConfirmed(f"{GATE_CHECK} was not evaluated on the latest materialisation (evaluation is empty)")
    attached = _attached(evaluation, "answer")
    if len(attached) != 1 or not isinstance(attached[0], str):
        raise NotConfirmed("the check has no answer in its metadata")
    parse_json(attached[0])  # refuses duplicate fields
    try:
        answer = GateAnswer.from_json(attached[0])
    except ValueError:
        raise NotConfirmed("the answer in the metadata of the check is invalid") from None
    stored = _stored(evaluation)
    if (status == "SUCCEEDED" and stored.passed) is not (answer.decision.state is GateState.OPEN):
        raise NotConfirmed("the result of the check contradicts the answer in its metadata")
    return answer, stored


def listed_evaluations(executions: Any) -> list[Evaluation]:
    """Return the results of the listed executions; raise NotConfirmed if they cannot be read."""
    if not isinstance(executions, list) or not all(isinstance(execution, dict) for execution in executions):
        raise NotConfirmed("the deployment does not list the executions of the check")
    return [_stored(execution["evaluation"]) for execution in executions if execution.get("evaluation") is not None]


def _stored(evaluation: Any) -> Evaluation:
    timestamp: Any = evaluation.get("timestamp") if isinstance(evaluation, dict) else None
    try:
        at = datetime.fromtimestamp(timestamp, timezone.utc)
    except (TypeError, ValueError, OverflowError, OSError):
        raise NotConfirmed("an evaluation of the check has no time") from None
    claims = claims_of_evaluation(at, _json_value(evaluation, "answer"), _json_value(evaluation, "claims"))
    return Evaluation(evaluation.get("success") is True, at, claims)


def _json_value(evaluation: Mapping[str, Any], label: str) -> Any:
    """Return the value of a metadata entry, None if it cannot be read."""
    attached = _attached(evaluation, label)
    try:
        return parse_json(attached[0]) if len(attached) == 1 and isinstance(attached[0], str) else None
    except NotConfirmed:
        return None


def _attached(evaluation: Mapping[str, Any], label: str) -> list[Any]:
    entries = evaluation.get("metadataEntries")
    return [entry.get("jsonString") for entry in entries if isinstance(entry, dict) and entry.get("label") == label
            ] if isinstance(entries, list) else []


def _word(value: Any) -> str:
    return value[:30] if isinstance(value, str) and value.isidentifier() else "no status"
