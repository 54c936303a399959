"""Ledgers that evaluate one check of one Dagster instance: none of them answers for another."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from orgrecon_pipeline.defs import gate_check
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline_tests.support.defs.displayed_check import displayed_gate
from orgrecon_pipeline_tests.support.defs.ledgers import Location, new_world
from orgrecon_pipeline_tests.support.defs.world import CHECK, World

Located = Callable[..., Location]


@pytest.fixture
def located(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance) -> Located:
    """Make a location for an environment of the instance."""
    numbers = itertools.count()
    return lambda environment, instance=instance: Location(
        new_world(tmp_path / f"{environment}-{next(numbers)}", environment), monkeypatch, instance)


def reason(location: Location) -> str:
    return location.ask().decision.reason.sentence


def test_open_gate_of_staging_never_answers_for_prod(located: Located) -> None:
    """The two locations of the issue: prod is CLOSED, and staging stamps baselines."""
    prod, staging = located("prod"), located("staging")
    prod.stamp_baselines(days=1)
    staging.stamp_baselines()
    prod.evaluate()
    assert "1 of 7 clean days" in reason(prod)
    staging.evaluate()
    assert staging.open
    assert not prod.ask().open
    assert "its answer is about org-v23 in staging, but org-v23 in prod was asked for" in reason(prod)
    assert not staging.ask().open
    assert staging.ask().decision.reason.code is ReasonCode.OTHER_LEDGER


@pytest.mark.parametrize("second", ["staging", "prod"], ids=["another_environment", "the_same_identity"])
@pytest.mark.parametrize("with_run", [True, False], ids=["runs", "refreshes"])
def test_second_ledger_closes_the_check_for_both_in_any_order(located: Located, second: str, with_run: bool) -> None:
    for swap in (False, True):
        with dg.DagsterInstance.ephemeral() as instance:
            locations = [located("prod", instance), located(second, instance)]
            for location in locations:
                location.stamp_baselines()
            first, other = reversed(locations) if swap else locations
            first.evaluate()
            assert first.ask().open
            (other.evaluate if with_run else other.refresh)()
            assert [location.ask().open for location in locations] == [False, False]
            first.refresh()
            assert [location.ask().open for location in locations] == [False, False]


def test_acceptance_opens_the_gate_until_the_other_ledger_evaluates_again(located: Located) -> None:
    old, rebuilt = located("prod"), located("prod")
    for location in (old, rebuilt):
        location.stamp_baselines()
        location.evaluate()
    assert f"ledger {old.context.ledger.id} of org-v23 in prod evaluated the same check" in reason(rebuilt)
    rebuilt.accept(old)
    assert rebuilt.sensor_requests() == 1
    rebuilt.evaluate()
    assert rebuilt.ask().open
    assert rebuilt.sensor_requests() == 0
    old.evaluate()
    rebuilt.evaluate()
    assert rebuilt.ask().decision.reason.code is ReasonCode.OTHER_LEDGER


def test_acceptance_of_one_ledger_does_not_cover_another(located: Located) -> None:
    prod, staging, old = located("prod"), located("staging"), located("prod")
    for location in (staging, old, prod):
        location.stamp_baselines()
        location.evaluate()
    prod.accept(old)
    prod.evaluate()
    assert f"ledger {staging.context.ledger.id} of org-v23 in staging" in reason(prod)
    prod.accept()
    prod.evaluate()
    assert prod.ask().open


def test_moved_ledger_needs_no_acceptance(located: Located) -> None:
    prod, moved = located("prod"), located("prod")
    prod.stamp_baselines()
    prod.evaluate()
    shutil.move(prod.world.directory / "ledger.db", moved.world.directory / "ledger.db")
    moved.evaluate()
    assert moved.ask().open
    assert moved.sensor_requests() == 0


def test_copy_of_a_ledger_with_other_evidence_closes_the_check_for_both(located: Located) -> None:
    """The copy of a production ledger in staging has the same id and, without a name, the same identity."""
    prod, copied = located("prod"), located("prod")
    prod.stamp_baselines(days=1)
    prod.evaluate()
    shutil.copy(prod.world.directory / "ledger.db", copied.world.directory / "ledger.db")
    assert not copied.sensor_requests(), "a copy with the same evidence gives the same answer"
    copied.stamp_baselines()
    copied.evaluate()
    assert prod.sensor_requests() == 1
    prod.evaluate()
    assert reason(prod).startswith(f"a copy of ledger {prod.context.ledger.id} of org-v23 in prod evaluated")
    prod.accept(prod)
    prod.evaluate()
    assert "1 of 7 clean days" in reason(prod)


def test_renamed_environment_needs_an_acceptance(located: Located) -> None:
    """Its ledger is the same, but the answer before the change was about another identity."""
    unnamed, named = located("test"), located("prod")
    unnamed.stamp_baselines()
    unnamed.evaluate()
    shutil.move(unnamed.world.directory / "ledger.db", named.world.directory / "ledger.db")
    named.stamp_baselines()
    named.evaluate()
    assert "of org-v23 in test evaluated the same check" in reason(named)
    named.accept()
    named.evaluate()
    assert named.ask().open


@pytest.mark.parametrize("metadata", [
    {}, {"answer": "OPEN"}, {"answer": dg.JsonMetadataValue({"migration": "org-v23", "environment": "prod"})},
], ids=["none", "text", "no_ledger"])
def test_earlier_result_that_cannot_be_read_closes_the_check(located: Located, metadata: dict[str, object]) -> None:
    prod = located("prod")
    prod.stamp_baselines()
    prod.instance.report_runless_asset_event(dg.AssetCheckEvaluation(
        asset_key=CHECK.asset_key, check_name=CHECK.name, passed=True, metadata=metadata))
    prod.evaluate()
    assert reason(prod).startswith("an unknown ledger evaluated the same check")
    prod.accept()
    prod.evaluate()
    assert prod.ask().open


def test_claim_outlives_the_evaluations_that_are_read(located: Located, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_check, "_EVALUATIONS", 2)
    staging, prod = located("staging"), located("prod")
    for location in (staging, prod):
        location.stamp_baselines()
    staging.refresh()
    for _ in range(4):
        prod.evaluate()
        assert prod.ask().decision.reason.parameters["ledger"] == staging.context.ledger.id


def test_evaluation_at_the_same_time_is_not_lost(located: Located, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither of two evaluations knows of the other; the client sees both, and so does the next evaluation."""
    prod, staging = located("prod"), located("staging")
    for location in (prod, staging):
        location.stamp_baselines()
    compute = gate_check.result_now
    interrupted = False

    def compute_and_be_overtaken(*arguments: object) -> gate_check.CheckResult:
        nonlocal interrupted
        result = compute(*arguments)  # type: ignore[arg-type]
        if not interrupted:
            interrupted = True
            staging.refresh()
        return result

    monkeypatch.setattr(gate_check, "result_now", compute_and_be_overtaken)
    prod.refresh()
    monkeypatch.setattr(gate_check, "result_now", compute)
    assert interrupted
    assert f"ledger {staging.context.ledger.id} of org-v23 in staging evaluated the same check" in reason(prod)
    assert prod.sensor_requests() == 1
    prod.evaluate()
    assert prod.ask().decision.reason.code is ReasonCode.OTHER_LEDGER


NAMES = ("prod", "staging", "prod")
steps = st.lists(st.one_of(
    st.tuples(st.just("evaluate"), st.integers(0, 2)),
    st.tuples(st.just("refresh"), st.integers(0, 2)),
    st.tuples(st.just("sensor"), st.integers(0, 2)),
    st.tuples(st.just("accept"), st.integers(0, 2), st.sampled_from([None, 0, 1, 2])),
    st.tuples(st.just("baselines"), st.integers(0, 2)),
), min_size=3, max_size=14)


@pytest.fixture
def worlds(tmp_path: Path) -> list[World]:
    """A world of each name, whose mapping and definitions all histories share."""
    return [new_world(tmp_path / str(number), name) for number, name in enumerate(NAMES)]


@pytest.mark.brief
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture],
          phases=[phase for phase in Phase if phase is not Phase.shrink])
@given(clean=st.sets(st.integers(0, 2)), history=steps)
def test_client_in_any_history_is_open_only_for_the_single_accepted_ledger(
    worlds: list[World], monkeypatch: pytest.MonkeyPatch, clean: set[int], history: list[tuple[object, ...]],
) -> None:
    assert_clients_follow(worlds, monkeypatch, clean, history)


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture],
          phases=[phase for phase in Phase if phase is not Phase.shrink])
@given(clean=st.sets(st.integers(0, 2)), history=steps)
def test_client_in_any_of_more_histories_is_open_only_for_the_single_accepted_ledger(
    worlds: list[World], monkeypatch: pytest.MonkeyPatch, clean: set[int], history: list[tuple[object, ...]],
) -> None:
    assert_clients_follow(worlds, monkeypatch, clean, history)


def assert_clients_follow(
    worlds: list[World], monkeypatch: pytest.MonkeyPatch, clean: set[int], history: list[tuple[object, ...]]
) -> None:
    """Assert that a client is OPEN only if every evaluation of another ledger was accepted by its own one later.

    The ledgers ``clean`` begin with a clean week.
    """
    with dg.DagsterInstance.ephemeral() as instance:
        for world in worlds:
            (world.directory / "ledger.db").unlink(missing_ok=True)
        locations = [Location(world, monkeypatch, instance) for world in worlds]
        for number in clean:
            locations[number].stamp_baselines()
        evaluated: dict[int, datetime] = {}
        accepted: dict[tuple[int, int], datetime] = {}

        def run(number: int, step: str) -> None:
            location = locations[number]
            if step == "refresh" and not location.refresh():
                return
            if step == "sensor" and not location.sensor_requests():
                return
            if step != "refresh":
                location.evaluate()
            evaluated[number] = datetime.now(timezone.utc)

        for step, number, *others in history:
            assert isinstance(number, int)
            if step == "baselines":
                locations[number].stamp_baselines()
            elif step == "accept":
                other = others[0]
                assert other is None or isinstance(other, int)
                locations[number].accept(None if other is None else locations[other])
                for index in range(3) if other is None else [other]:
                    accepted[number, index] = datetime.now(timezone.utc)
            else:
                run(number, str(step))
            for name in set(NAMES):
                asking = locations[NAMES.index(name)]
                if displayed_gate(instance, asking.world).open:
                    latest = max((index for index in evaluated if NAMES[index] == name), key=lambda i: evaluated[i])
                    assert locations[latest].open
                    for index, moment in evaluated.items():
                        assert index == latest or ((latest, index) in accepted and moment <= accepted[latest, index])
        # Without further changes, the sensors stop requesting runs.
        for _ in range(3):
            for number in evaluated:
                run(number, "sensor")
        assert [locations[number].sensor_requests() for number in evaluated] == [0] * len(evaluated)
