"""Earlier states of a ledger can be restored, and say which gates of tenants opened since then."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.operations.gate.evidence_state import EvidenceState
from orgrecon_pipeline.operations.gate.opened_tenants import opened_since
from orgrecon_pipeline.operations.gate.sources import GateEvidence, gather_evidence
from orgrecon_pipeline.operations.gate.tenants import TenantGates
from orgrecon_pipeline_tests.support.operations.tenant_history import days_of, open_of_oracle, random_history, store


def evidence(directory: Path) -> GateEvidence:
    return gather_evidence(read_settings({
        "ORGRECON_LEDGER_URL": f"sqlite:///{directory / 'ledger.db'}",
        "ORGRECON_OUTPUT_DIR": str(directory / "reports")}), trail=None)


def gates(evidence: GateEvidence) -> list[tuple[str, str, int]]:
    return [(answer.tenant, answer.decision.state.value, answer.decision.streak_days)
            for answer in TenantGates(evidence).all()]


@pytest.mark.parametrize("seed", range(6))
def test_restored_states_of_a_random_history_have_the_gates_of_their_time(tmp_path: Path, seed: int) -> None:
    history = random_history(random.Random(seed))
    past = []
    for number, day in enumerate(history, start=1):
        store(tmp_path, [day], reports=False)
        then = evidence(tmp_path)
        past.append((EvidenceState.of(then).as_text(), gates(then), open_of_oracle(history[:number])))
    now = evidence(tmp_path)
    for text, expected, were_open in past:
        state = EvidenceState.from_text(text)
        assert state is not None
        assert gates(state.restore(now)) == expected
        opened = opened_since(state, now, limit=9)
        assert {answer.tenant for answer in opened.opened} == open_of_oracle(history) - were_open
        assert opened.ready == len(open_of_oracle(history))


def test_without_an_earlier_state_every_open_tenant_opened(tmp_path: Path) -> None:
    tenants = frozenset({"acme", "globex", "initech"})
    store(tmp_path, days_of([(tenants, frozenset({"acme"}))] * 7), reports=False)
    opened = opened_since(EvidenceState.from_text(""), evidence(tmp_path), limit=1)
    assert ([answer.tenant for answer in opened.opened], opened.opened.count, opened.opened.more) == (["globex"], 2, 1)
    assert (opened.ready, opened.total) == (2, 3)
