"""Packed names against Python's own sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgrecon_pipeline.domain.tenant_names import TenantNames

# Of one, two, three and four bytes in UTF-8; the last two sort the other way round in UTF-16.
SETS = st.frozensets(st.text(alphabet="aé€\uffee\U0001f600", max_size=4), max_size=8)


@given(SETS)
def test_names_are_a_sorted_set(names: frozenset[str]) -> None:
    packed = TenantNames.of([*names, *names])
    assert list(packed) == sorted(names)
    assert len(packed) == len(names)
    assert [packed[place] for place in range(len(packed))] == sorted(names)
    assert packed == TenantNames.ascending(sorted(names))


@given(SETS, st.text(alphabet="aé€", max_size=4))
def test_a_name_is_found_where_it_stands(names: frozenset[str], name: str) -> None:
    packed = TenantNames.of(names)
    assert (name in packed) == (name in names)
    assert packed.place(name) == (sorted(names).index(name) if name in names else None)


@given(SETS, SETS, SETS)
def test_sets_are_united_and_subtracted(one: frozenset[str], other: frozenset[str], third: frozenset[str]) -> None:
    assert TenantNames.of(one).union(TenantNames.of(other), TenantNames.of(third)) == TenantNames.of(one | other | third)
    assert TenantNames.of(one).without(TenantNames.of(other)) == TenantNames.of(one - other)


def test_there_is_nothing_before_the_first_or_behind_the_last() -> None:
    names = TenantNames.of(["a", "b"])
    for place in (-1, 2):
        with pytest.raises(IndexError):
            names[place]
