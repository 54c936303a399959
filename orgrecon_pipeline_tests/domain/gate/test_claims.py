"""Claims of several ledgers to one check in Dagster."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from orgrecon_pipeline.domain.gate.claims import (
    Acceptance,
    Claim,
    Claimant,
    claims_of_evaluation,
    first_unaccepted,
    other_claims,
    other_ledger,
)
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.domain.reasons import ReasonCode

START = datetime(2026, 3, 10, 12, tzinfo=timezone.utc)
PROD = Claimant(Identity("org-v23", "prod"), "a" * 16)
STAGING = Claimant(Identity("org-v23", "staging"), "b" * 16)
REBUILT = Claimant(Identity("org-v23", "prod"), "c" * 16)
UNKNOWN = Claimant()


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def answer(claimant: Claimant, **changes: Any) -> dict[str, Any]:
    return {**claimant.as_json_value(), "state": "OPEN", **changes}


def test_last_claim_of_each_other_ledger_is_gathered_latest_first() -> None:
    claims = [Claim(PROD, at(9)), Claim(STAGING, at(3)), Claim(REBUILT, at(5)), Claim(STAGING, at(1), accepted=True)]
    assert other_claims(claims, PROD, []) == (Claim(REBUILT, at(5)), Claim(STAGING, at(3)))
    assert other_claims(reversed(claims), PROD, []) == (Claim(REBUILT, at(5)), Claim(STAGING, at(3)))


@pytest.mark.parametrize(("acceptance", "accepted"), [
    (Acceptance(None, at(5)), True), (Acceptance(None, at(4.9)), False),
    (Acceptance(STAGING.ledger, at(5)), True), (Acceptance(STAGING.ledger, at(4.9)), False),
    (Acceptance(REBUILT.ledger, at(9)), False),
])
def test_acceptance_covers_earlier_claims_of_its_ledger(acceptance: Acceptance, accepted: bool) -> None:
    assert other_claims([Claim(STAGING, at(5))], PROD, [acceptance]) == (Claim(STAGING, at(5), accepted),)


def test_claim_of_an_unknown_ledger_is_accepted_only_together_with_all_others() -> None:
    claims = [Claim(UNKNOWN, at(5), accepted=True)]
    assert not other_claims(claims, PROD, [Acceptance(STAGING.ledger, at(9))])[0].accepted
    assert other_claims(claims, PROD, [Acceptance(None, at(9))])[0].accepted


@pytest.mark.parametrize(("claims", "unaccepted"), [
    ([Claim(PROD, at(9))], None),
    ([Claim(STAGING, at(5))], None),
    ([Claim(STAGING, at(4)), Claim(STAGING, at(5.1))], Claim(STAGING, at(5.1))),
    ([Claim(REBUILT, at(1))], Claim(REBUILT, at(1))),
    ([Claim(UNKNOWN, at(1))], Claim(UNKNOWN, at(1))),
    ([Claim(STAGING, at(9), accepted=True)], Claim(STAGING, at(9), accepted=True)),
])
def test_only_accepted_claims_that_an_answer_knows_are_ignored(
    claims: list[Claim], unaccepted: Claim | None,
) -> None:
    known = [Claim(STAGING, at(5), accepted=True), Claim(REBUILT, at(5))]
    assert first_unaccepted(claims, PROD, known) == unaccepted


def test_claims_survive_the_metadata_of_an_evaluation() -> None:
    claims = [Claim(STAGING, at(3), accepted=True), Claim(UNKNOWN, at(1)), Claim(replace(PROD, copy=True), at(2))]
    carried = json.loads(json.dumps([claim.as_json_value() for claim in claims]))
    assert claims_of_evaluation(at(5), answer(PROD), carried) == [Claim(PROD, at(5)), *claims]


@pytest.mark.parametrize("value", [
    None, [], "OPEN", {}, {"migration": "org-v23", "environment": "prod"}, answer(PROD, ledger=None),
    answer(PROD, ledger="A" * 16), answer(PROD, ledger="a" * 15), answer(PROD, migration="Org v23"),
    answer(PROD, migration=None), answer(PROD, environment=None), answer(PROD, environment=["prod"]),
], ids=str)
def test_answer_that_names_no_ledger_is_a_claim_of_an_unknown_one(value: Any) -> None:
    assert claims_of_evaluation(at(5), value, []) == [Claim(UNKNOWN, at(5))]


@pytest.mark.parametrize("value", [
    None, {}, "x", [None], [{}], [{**Claim(STAGING, at(3)).as_json_value(), "at": "yesterday"}],
    [{**Claim(STAGING, at(3)).as_json_value(), "at": None}], [{**Claim(STAGING, at(3)).as_json_value(), "accepted": 1}],
], ids=str)
def test_carried_claims_that_cannot_be_read_are_a_claim_of_an_unknown_ledger(value: Any) -> None:
    assert claims_of_evaluation(at(5), answer(PROD), value) == [Claim(PROD, at(5)), Claim(UNKNOWN, at(5))]


def test_reason_names_the_other_ledger_its_identity_and_the_time() -> None:
    reason = other_ledger(Claim(STAGING, at(5)))
    assert reason.code is ReasonCode.OTHER_LEDGER
    assert reason.parameters == {"migration": "org-v23", "environment": "staging", "ledger": "b" * 16,
                                 "at": "2026-03-10T12:05:00.000000Z"}
    assert reason.sentence.startswith(
        "ledger bbbbbbbbbbbbbbbb of org-v23 in staging evaluated the same check in Dagster (2026-03-10 12:05:00 UTC): ")
    assert other_ledger(Claim(UNKNOWN, at(5))).sentence.startswith("an unknown ledger evaluated the same check")
