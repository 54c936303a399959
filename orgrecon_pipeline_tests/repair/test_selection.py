"""The options of ``repair-sql`` limit the repair to a tenant, an entity, a kind or a state; other drift stays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from orgrecon_pipeline.demo.faults import DriftingKey, Fault, inject
from orgrecon_pipeline.domain.drift import key as drifting_key
from orgrecon_pipeline.domain.drift.key import KeyState
from orgrecon_pipeline.domain.drift.kinds import DriftKind
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.ledger.statements.keys import KeyFilter
from orgrecon_pipeline.operations.clock import Clock
from orgrecon_pipeline.operations.repair import plan_repair
from orgrecon_pipeline_tests.support.demo.plain_check import differences
from orgrecon_pipeline_tests.support.ledger import drift_days
from orgrecon_pipeline_tests.support.repair.scenario import MEMBERSHIPS, UNITS, CompanyScenario

_FAULTS = (Fault.MISSING_MEMBERSHIP, Fault.REVOKED_MEMBERSHIP, Fault.WRONG_ROLE, Fault.RENAMED_UNIT)


def inject_all(company: CompanyScenario, seed: int = 0) -> set[DriftingKey]:
    """Inject each fault into two tenants, and return the drifting keys."""
    return {key for fault in _FAULTS for tenant in company.tenants[:2]
            for key in inject(company.admin, fault, count=2, tenants=[tenant], seed=seed)}


@pytest.mark.parametrize(("only", "selects"), [
    (lambda tenant: KeyFilter(tenant=tenant), lambda key, tenant: key.tenant == tenant),
    (lambda tenant: KeyFilter(entity=MEMBERSHIPS), lambda key, tenant: key.entity == MEMBERSHIPS),
    (lambda tenant: KeyFilter(kind=DriftKind.MISSING), lambda key, tenant: key.kind == "missing"),
    (lambda tenant: KeyFilter(kind=DriftKind.UNEXPECTED), lambda key, tenant: key.kind == "unexpected"),
    (lambda tenant: KeyFilter(tenant=tenant, kind=DriftKind.MISMATCHED, entity=UNITS),
     lambda key, tenant: (key.tenant, key.kind, key.entity) == (tenant, "mismatched", UNITS)),
    (lambda tenant: KeyFilter(tenant=tenant, state=KeyState.NEW), lambda key, tenant: key.tenant == tenant),
    (lambda tenant: KeyFilter(state=KeyState.PERSISTENT), lambda key, tenant: False),
], ids=["tenant", "entity", "missing", "unexpected", "three options", "new", "persistent"])
def test_repair_changes_only_the_selected_keys(
    company: CompanyScenario, only: Callable[[str], KeyFilter], selects: Callable[[DriftingKey, str], bool]
) -> None:
    drifting, tenant = inject_all(company), company.tenants[0]
    assert company.observe().verdict is Verdict.FAIL
    plan = plan_repair(company.settings, None, only(tenant))
    company.apply(plan.script.sql)
    assert differences(company.dsn) == {key for key in drifting if not selects(key, tenant)}
    selected = any(selects(key, tenant) for key in drifting)
    assert any("the script changes nothing" in note for note in plan.notes) is not selected


@pytest.mark.parametrize("state", [KeyState.NEW, KeyState.PERSISTENT])
def test_repair_of_a_state_changes_only_the_keys_in_that_state(company: CompanyScenario, state: KeyState) -> None:
    old = inject_all(company)
    # The keys drifted on the day before, too.
    drift_days.observe(
        company.ledger, Clock().today() - timedelta(days=1),
        [drifting_key.DriftingKey(key.tenant, key.entity, _stored(company, key), (key.kind,), ()) for key in old],
        mapping_digest=company.mapping.digest)
    new = inject_all(company, seed=1)
    assert company.observe().verdict is Verdict.FAIL
    company.apply(plan_repair(company.settings, None, KeyFilter(state=state)).script.sql)
    assert differences(company.dsn) == (old if state is KeyState.NEW else new)


def _stored(company: CompanyScenario, key: DriftingKey) -> tuple[str, ...]:
    """Return a key's texts in the order of the names of its columns."""
    return tuple(text for _, text in sorted(zip(company.mapping.entities[key.entity].key, key.key, strict=True)))


def test_repair_of_a_tenant_without_drift_changes_nothing(company: CompanyScenario) -> None:
    drifting = inject_all(company)
    company.observe()
    plan = plan_repair(company.settings, None, KeyFilter(tenant=company.tenants[2]))
    assert plan.notes == ("No drifting key that can be repaired matches the options, so the script changes nothing.",)
    company.apply(plan.script.sql)
    assert differences(company.dsn) == drifting


@pytest.mark.parametrize(("only", "message"), [
    (KeyFilter(tenant="nosuch"), "--tenant 'nosuch': no observation has a row of this tenant: check its name"),
    (KeyFilter(entity="teams"), "--entity 'teams' is not in the mapping"),
    (KeyFilter(state=KeyState.HEALED), "no longer drift"),
])
def test_repair_of_an_impossible_selection_is_refused(
    company: CompanyScenario, only: KeyFilter, message: str
) -> None:
    inject_all(company)
    company.observe()
    with pytest.raises(UsageError, match=message):
        plan_repair(company.settings, None, only)
