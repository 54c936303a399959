"""Tracked keys are split and followed to a later read as a model of single keys says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgrecon_pipeline.compare.keys import tracked_keys
from orgrecon_pipeline.compare.keys.tracked_keys import IN_FLUX, TrackedKeys
from orgrecon_pipeline.domain.drift.kinds import Counts
from orgrecon_pipeline.postgres.int8_arrays import int8_array


class Key(NamedTuple):
    """A key with at most one row on each side: 0 is the state of a side without a row."""

    key: int
    source: int
    target: int
    source_now: int
    target_now: int
    changed: int

    @property
    def drifts(self) -> bool:
        return self.source_now != self.target_now

    @property
    def kind(self) -> str | None:
        if self.changed == IN_FLUX:
            return None
        return "missing" if not self.target_now else "unexpected" if not self.source_now else "mismatched"

    def later(self, source: int, target: int) -> Key:
        changed = self.changed | (source != self.source) | 2 * (target != self.target)
        return self._replace(source_now=source, target_now=target, changed=changed)


_state = st.integers(0, 3)
_keys = st.lists(
    st.builds(Key, st.integers(-9, 9), _state, _state, _state, _state, st.integers(0, 3)).filter(lambda k: k.drifts),
    unique_by=lambda key: key.key, max_size=12)


def counts(keys: Sequence[Key]) -> Counts[int]:
    kinds = [key.kind for key in keys]
    return Counts.of({kind: kinds.count(kind) for kind in ("missing", "unexpected", "mismatched")})


def tracked(keys: Sequence[Key], of_keys: Counts[int]) -> TrackedKeys:
    return TrackedKeys(of_keys, *(int8_array(numbers) for numbers in zip(*keys, strict=True)))


@pytest.mark.parametrize("few", [0.0, 1.1], ids=["many are chosen", "few are chosen"])
@given(keys=_keys.filter(bool), chosen=st.sets(st.integers(-9, 9)), counted=st.booleans())
def test_split_returns_the_chosen_keys_and_counts_the_others(
    few: float, keys: list[Key], chosen: set[int], counted: bool
) -> None:
    known = counts(keys) if counted else Counts.zero()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(tracked_keys, "_FEW", few)
        rest, selected = tracked(keys, known).split(chosen)
    expected_rest, expected = ([key for key in keys if (key.key in chosen) is wanted] for wanted in (False, True))
    assert rest == (tracked(expected_rest, counts(expected_rest)) if expected_rest else None)
    assert selected == (tracked(expected, Counts.zero()) if expected else None)


@given(keys=_keys.filter(bool), states=st.lists(st.tuples(_state, _state), min_size=12, max_size=12))
def test_later_read_keeps_the_keys_that_still_drift(keys: list[Key], states: list[tuple[int, int]]) -> None:
    now = [key.later(*state) for key, state in zip(keys, states, strict=False)]
    source, target = (int8_array(numbers) for numbers in zip(*states[:len(keys)], strict=True))
    drifting = [key for key in now if key.drifts]
    assert tracked(keys, counts(keys)).as_of(source, target) == (
        tracked(drifting, counts(drifting)) if drifting else None)
