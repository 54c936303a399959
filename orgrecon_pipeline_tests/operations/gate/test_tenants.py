"""The gates of all tenants and cohorts equal an independent oracle, from the ledger, and are never looser from reports.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.operations.gate.sources import GateEvidence, gather_evidence
from orgrecon_pipeline.operations.gate.tenant_summary import TenantSummary
from orgrecon_pipeline.operations.gate.tenants import TenantGates, open_share
from orgrecon_pipeline.operations.trail.importer import import_trail
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.operations.tenant_history import (
    TENANTS,
    Day,
    groups_of_oracle,
    random_history,
    store,
    streak_of_oracle,
)

HISTORIES = 30


def evidence(directory: Path, *, trail: bool = False, ledger: str = "ledger.db") -> GateEvidence:
    environ = {"ORGRECON_LEDGER_URL": f"sqlite:///{directory / ledger}",
               "ORGRECON_OUTPUT_DIR": str(directory / "reports")}
    return gather_evidence(read_settings(environ), trail=directory / "reports" if trail else None)


@pytest.fixture(scope="module", params=range(HISTORIES), ids=lambda seed: f"seed-{seed}")
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Day], Path]:
    """A random history, and the directory with its ledger and reports, which both tests only read."""
    history, directory = random_history(random.Random(request.param)), tmp_path_factory.mktemp("stored")
    store(directory, history)
    return history, directory


def test_summary_counts_every_existing_tenant_and_lists_the_first_ones(stored: tuple[list[Day], Path]) -> None:
    history, directory = stored
    gates, expected = TenantGates(evidence(directory)), groups_of_oracle(history)
    for limit in (1, 20):
        summary = TenantSummary.of(gates, limit)
        groups = summary.ready, summary.waiting, summary.drifting
        assert [[answer.tenant for answer in group] for group in groups] == [names[:limit] for names in expected]
        assert [(group.count, group.more) for group in groups] == [(len(n), max(len(n) - limit, 0)) for n in expected]
        assert summary.total == sum(map(len, expected))
        share = open_share(summary.ready.count, summary.total)
        assert share.startswith(f"{len(expected[0])} of {summary.total} tenant")


def test_gate_of_tenants_and_cohorts_equals_oracle_and_is_never_looser_from_reports(
    stored: tuple[list[Day], Path], tmp_path: Path
) -> None:
    history, directory = stored
    gates = TenantGates(evidence(directory))
    expected = {tenant: streak_of_oracle(history, tenant) for tenant in TENANTS}
    # The last seven days cannot all be of another mapping, which would close the gate for its own reason.
    assert {tenant: gates.of(tenant).decision.streak_days for tenant in TENANTS} == expected
    assert {tenant: gates.of(tenant).open for tenant in TENANTS} == {t: n >= 7 for t, n in expected.items()}
    listed = {answer.tenant: answer.open for answer in gates.all()}
    assert listed == {tenant: expected[tenant] >= 7 for tenant in listed}
    for size in range(1, len(TENANTS) + 1):
        cohort = TENANTS[:size]
        assert gates.cohort(cohort).open is all(expected[tenant] >= 7 for tenant in cohort)
    ledger = tmp_path / "imported.db"
    imported = import_trail(open_ledger(f"sqlite:///{ledger}"), directory / "reports")
    assert not imported.refused
    for of_reports in (evidence(directory, trail=True), evidence(directory, ledger=str(ledger))):
        others = TenantGates(of_reports)
        for tenant in (*TENANTS, "nobody"):
            assert others.of(tenant).decision.streak_days <= gates.of(tenant).decision.streak_days
            assert gates.of(tenant).open or not others.of(tenant).open
