"""Drifting keys are stored with their first day, and days are compared with the previous decided one."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orgrecon_pipeline.domain.drift.key import KeyState, key_text
from orgrecon_pipeline.domain.evidence import Observation, Provenance, Verdict
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline_tests.support.ledger.cases import DAY
from orgrecon_pipeline_tests.support.ledger.drift_days import ENTITIES, drifting, observe
from orgrecon_pipeline_tests.support.ledger.history_oracle import Drift, History

pytestmark = pytest.mark.usefixtures("kept_connection")

KINDS = ("missing", "unexpected", "mismatched", "duplicate")
STATES = [state.value for state in KeyState]


def states(stored: Observation) -> dict[str, Counter[tuple[str, str]]]:
    assert stored.change is not None
    return {state: Counter({
        (entity, kind): keys for entity, kinds in stored.change.entities.items() for kind, counts in kinds.items()
        if (keys := getattr(counts, state))}) for state in STATES}


FIRST_DAYS = """
    SELECT e.name, k.tenant, k.key, k.first_seen FROM orgrecon_key k
    JOIN orgrecon_observation o ON o.number = k.observation AND o.id = :id
    JOIN orgrecon_entity e ON e.observation = k.observation AND e.ordinal = k.entity"""
DRIFTS = st.dictionaries(
    st.tuples(st.sampled_from(["a", "b\u00e9"]), st.sampled_from(ENTITIES), st.sampled_from(["1", "2", '"', ""])),
    st.sampled_from([frozenset({kind}) for kind in KINDS] + [frozenset({"mismatched", "duplicate"})]), max_size=6)
DAYS = st.lists(st.one_of(DRIFTS, st.sampled_from(["INCONCLUSIVE", "MISSING", "baseline"])), min_size=1, max_size=6)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days=DAYS)
def test_states_and_first_days_agree_with_the_oracle(both_ledgers: tuple[Ledger, Ledger], days: list[Any]) -> None:
    for ledger in both_ledgers:
        oracle = History()
        # Each example continues after the days of the earlier ones, under a mapping of its own.
        first = max(ledger.days(), default=DAY) + timedelta(days=1)
        digest = f"{first.toordinal():064d}"
        for day, content in enumerate(days):
            check_day(ledger, oracle, first + timedelta(days=day), content, digest)


def check_day(ledger: Ledger, oracle: History, day: date, content: Any, digest: str) -> None:
    if content == "MISSING":
        return
    if content == "INCONCLUSIVE":
        observe(ledger, day, (), verdict=Verdict.INCONCLUSIVE, mapping_digest=digest)
        return
    if content == "baseline":
        observe(ledger, day, (), provenance=Provenance.BASELINE, observed_at=None, mapping_digest=digest)
        return
    drift: Drift = {(tenant, entity, (key,)): kinds for (tenant, entity, key), kinds in content.items()}
    # A failed attempt and a rerun of the same day change nothing.
    observe(ledger, day, (), verdict=Verdict.INCONCLUSIVE, mapping_digest=digest, name=f"failed {day}")
    keys = [drifting(tenant, entity, key, *sorted(kinds)) for (tenant, entity, (key,)), kinds in drift.items()]
    observe(ledger, day, keys, mapping_digest=digest, name=f"first {day}")
    stored = observe(ledger, day, keys, mapping_digest=digest)
    assert states(stored) == {state: +numbers for state, numbers in oracle.decide(day, drift).items()}
    assert stored_first_days(ledger, stored) == {
        (entity, tenant, key_text(key)): oracle.first_seen[tenant, entity, key] for tenant, entity, key in drift}
    assert {(s.tenant, s.entity, s.key["id"]): s.first_seen for s in ledger.samples(stored.id)} == {
        (tenant, entity, key[0]): oracle.first_seen[tenant, entity, key] for tenant, entity, key in drift}
    oldest = {(row.tenant, row.entity): row.first_seen for row in ledger.breakdown(stored.id, 100)}
    for tenant, entity in oldest:
        of_tenant = [oracle.first_seen[key] for key in drift if key[:2] == (tenant, entity)]
        assert oldest[tenant, entity] == min(of_tenant, default=None)


def stored_first_days(ledger: Ledger, stored: Observation) -> dict[tuple[str, str, str], date]:
    with ledger.reading() as connection:
        rows = connection.execute(sa.text(FIRST_DAYS), {"id": stored.id}).all()
    return {(entity, tenant, key): day if isinstance(day, date) else date.fromisoformat(day)
            for entity, tenant, key, day in rows}


def test_change_is_unknown_after_a_day_of_which_keys_were_left_out(ledger: Ledger) -> None:
    """A key that was left out may be the one that drifts on the next day."""
    key, other = drifting("a", "org_units", "1", "missing"), drifting("a", "org_units", "2", "missing")
    member = drifting("a", "org_unit_memberships", "1", "missing")
    first = observe(ledger, DAY, [key], left_out=3)
    second = observe(ledger, DAY + timedelta(days=1), [key, other, member])
    third = observe(ledger, DAY + timedelta(days=2), [key, other, member])
    for stored in (first, second):
        assert stored.change
        assert set(stored.change.entities["org_units"]["missing"].model_dump().values()) == {None}
    assert second.change
    assert second.change.oldest["org_units"] is None
    assert {sample.key["id"]: (sample.first_seen, sample.state) for sample in ledger.samples(second.id)
            if sample.entity == "org_units"} == {"1": (DAY, KeyState.PERSISTENT), "2": (None, None)}
    assert second.change.entities["org_unit_memberships"]["missing"].new == 1
    assert third.change
    assert third.change.entities["org_units"]["missing"].persistent == 2
    # Of a key with an unknown beginning, the day on which it was known to drift counts.
    assert {sample.key["id"]: sample.first_seen for sample in ledger.samples(third.id)
            if sample.entity == "org_units"} == {"1": DAY, "2": DAY + timedelta(days=1)}


def test_healed_keys_are_unknown_while_keys_are_in_flux(ledger: Ledger) -> None:
    observe(ledger, DAY, [drifting("a", "org_units", "1", "missing")])
    stored = observe(ledger, DAY + timedelta(days=1), [drifting("a", "org_units", "2", "missing")],
                     compared={"keys_in_flux": 1})
    assert stored.change
    assert stored.change.entities["org_units"]["missing"].model_dump() == {"new": 1, "persistent": 0, "healed": None}


def test_day_under_another_mapping_is_skipped_and_named(ledger: Ledger) -> None:
    key = drifting("a", "org_units", "1", "missing")
    days = [DAY + timedelta(days=number) for number in range(4)]
    observe(ledger, days[0], [key])
    other = observe(ledger, days[1], [key], mapping_digest="e" * 64)
    stored = observe(ledger, days[3], [key])
    assert other.change
    assert stored.change
    assert (other.change.since, states(other)["new"].total()) == (None, 1)
    assert (stored.change.since, stored.change.observation) == (days[0], f"of {days[0]}")
    assert [(skipped.day, skipped.verdict) for skipped in stored.change.skipped] == [
        (days[1], Verdict.FAIL), (days[2], Verdict.MISSING)]
    assert states(stored)["persistent"].total() == 1


def test_simulated_day_is_not_compared_with_a_real_one(ledger: Ledger) -> None:
    key = drifting("a", "org_units", "1", "missing")
    observe(ledger, DAY, [key])
    simulated = observe(ledger, DAY + timedelta(days=1), [key], provenance=Provenance.SIMULATED)
    restored = observe(ledger, DAY + timedelta(days=2), [key], provenance=Provenance.RESTORED)
    assert simulated.change
    assert simulated.change.since is None
    assert restored.change
    assert restored.change.since == DAY
