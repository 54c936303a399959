"""Reasons: one function makes every sentence, programs compare only codes and parameters, and no code is unused."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from orgrecon_pipeline.domain import reasons
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.reasons import Reason, ReasonCode

PACKAGE = Path(reasons.__file__).parents[1]
SOURCES = {path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8") for path in PACKAGE.rglob("*.py")}

#: Modules that read the reasons which a record or a ledger stored.
READERS = {"domain/evidence.py", "ledger/statements/read.py", "operations/gate/evidence_state.py"}


def calls(source: str) -> Iterator[tuple[str, set[str]]]:
    """Yield the name of each called function, and the names of its keyword arguments."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {keyword.arg for keyword in node.keywords if keyword.arg}


def test_reasons_are_equal_if_codes_and_parameters_are_equal() -> None:
    reason = Reason.word(ReasonCode.DRIFT, "1 key drifts.", keys=1)
    assert reason == Reason.word(ReasonCode.DRIFT, "A key drifts.", keys=1)
    assert reason != Reason.word(ReasonCode.DRIFT, "1 key drifts.", keys=2)
    assert reason != Reason.word(ReasonCode.ZERO_DRIFT, "1 key drifts.", keys=1)


def test_every_new_reason_is_made_by_reason_word() -> None:
    """So a test can reword the whole program, and no sentence can be forgotten."""
    for name, source in SOURCES.items():
        if name != "domain/reasons.py":
            called = {function for function, _ in calls(source)}
            assert "Reason" not in called, f"{name}: use Reason.word for a new reason, and Reason.stored to read one"
            assert "Reason.stored" not in called or name in READERS, f"{name}: use Reason.word"
    assert {name for name, source in SOURCES.items() if "Reason.stored(" in source} == READERS


def test_no_record_or_observation_is_made_with_a_sentence_of_its_own() -> None:
    for name, source in SOURCES.items():
        for function, keywords in calls(source):
            if function in ("Observation", "ObservedRow", "GateRecord", "WindowDay"):
                assert not {"reason", "reason_code"} & keywords, f"{name}: use **reason.as_fields()"


@pytest.mark.parametrize("code", ReasonCode)
def test_every_reason_code_is_used(code: ReasonCode) -> None:
    uses = sum(source.count(f"ReasonCode.{code.name}") for source in SOURCES.values())
    assert uses, f"nothing makes a reason with the code {code.value}"


def test_error_of_a_failed_comparison_has_a_code_and_its_sentence_as_parameter() -> None:
    plain = CannotDecide("the server is gone")
    assert (plain.reason.code, plain.reason.parameters) == (
        ReasonCode.COMPARISON_FAILED, {"detail": "the server is gone"})
    refused = CannotDecide("refused", ReasonCode.PERMISSION_DENIED, action="org_units.source")
    assert refused.reason.as_fields() == {
        "reason": "refused", "reason_code": "permission_denied",
        "reason_parameters": {"detail": "refused", "action": "org_units.source"},
    }


@pytest.mark.parametrize(("sentence", "reason"), [
    ("1 key drifts in 1 of 1 tenant.", reasons.drift(1, 1, 1)),
    ("38 keys drift in 2 of 12 tenants.", reasons.drift(38, 2, 12)),
    ("Zero drift in 1 tenant, 1 row compared.", reasons.zero_drift(1, 1)),
    ("Zero drift in 0 tenants, 0 rows compared.", reasons.zero_drift(0, 0)),
    ("coverage lost: no row is left on either side of tenant 'a' and 1 more, which an earlier observation saw; if that "
     "is intended, run orgrecon acknowledge.", reasons.coverage_lost(["tenant 'a'"], 2, None)),
])
def test_sentences_have_correct_plurals(sentence: str, reason: Reason) -> None:
    assert reason.sentence == sentence
