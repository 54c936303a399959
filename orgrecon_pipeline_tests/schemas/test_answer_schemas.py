"""Gate answers and exports agree with their schemas, and none does after a mutation."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from orgrecon_pipeline.domain.days import midnight
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.operations.gate.current import current_gate
from orgrecon_pipeline_tests.support.default_identity import IDENTITY
from orgrecon_pipeline_tests.support.report.cases import DAY, clean_week, observation
from orgrecon_pipeline_tests.support.schemas import mutations, published, require_valid

NOW: datetime = midnight(DAY) + timedelta(hours=9)


def gate_answer(verdict: Verdict) -> dict[str, Any]:
    """Return the answer after a week whose last day has a verdict."""
    week = clean_week()
    week.by_day[DAY] = [observation(verdict=verdict)]
    days = {day: week.record(day).to_evidence() for day in week.by_day}
    return current_gate(days, GatePolicy(), NOW, identity=IDENTITY).as_json_value()


OPEN, CLOSED = gate_answer(Verdict.PASS), gate_answer(Verdict.FAIL)
TENANT = {
    "tenant": "acme", "state": "CLOSED", "streak_days": 0, "earliest_open_day": "2026-11-30", "drifting_keys": 1,
    "reason": "drift", "reason_code": "tenant_drifts", "reason_parameters": {}}
KEY = {"day": "2026-11-23", "tenant": "acme", "entity": "org_units", "kind": "missing", "key": {"unit_id": "7"},
       "columns": [], "state": "new", "first_seen": None}
DOCUMENTS = {
    "open gate": ("gate", OPEN),
    "closed gate": ("gate", CLOSED),
    "cohort": ("gate", {
        **CLOSED, "cohort": {"state": "CLOSED", "reason": "0 of 1 tenant OPEN", "tenants": 1, "open": 0},
        "tenants": [{**TENANT, "forecast": CLOSED["forecast"]}]}),
    "tenant over HTTP": ("gate", {
        **TENANT, **{name: CLOSED[name] for name in ("migration", "environment", "ledger", "as_of", "valid_until")}}),
    "refusal over HTTP": ("gate", {"state": "CLOSED", "reason": "the bearer token is missing or wrong"}),
    "line of drift": ("drift", KEY),
    "drift": ("drift", {"migration": "org-v23", "environment": "", "day": "2026-11-23", "observation": "0" * 16,
                        "since": None, "notes": [], "keys": [KEY]}),
    "diff": ("drift", {
        "migration": "org-v23", "environment": "", "evidence": False, "tenant": "acme", "key": {},
        "result": "different", "reason": "1 key differs.", "observed_at": "2026-11-23T08:00:00.000000Z", "shards": [],
        "entities": {},
        "keys": [{"entity": "org_units", "kind": "missing", "key": {"unit_id": "7"}, "columns": [], "values": None,
                  "show": None}],
        "keys_not_listed": 0, "mismatched_columns": {}, "warnings": []}),
}
#: Fields that exist only on request.
OPTIONAL = {".cohort: removed", ".tenants: removed", "tenants.0.forecast: removed"}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_agrees_with_its_schema_and_no_mutation_does(name: str) -> None:
    schema, document = DOCUMENTS[name]
    require_valid(schema, document)
    accepted = {mutation for mutation, mutated in mutations(document) if published(schema).is_valid(mutated)}
    assert accepted - OPTIONAL == set()


def test_closed_gate_never_agrees_as_an_open_one() -> None:
    """No mutation of the schema's alternatives hides the state of the gate."""
    assert not published("gate").is_valid({"state": "OPEN", "reason": "everything is fine"})
