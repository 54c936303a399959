"""TenantNames compared with Python's own sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgrecon_pipeline.domain.tenant_names import TenantNames

# Characters of one to four bytes in UTF-8. The last two sort in the opposite order in UTF-16.
SETS = st.frozensets(st.text(alphabet="aé€\uffee\U0001f600", max_size=4), max_size=8)


@given(SETS)
def test_tenant_names_are_a_sorted_set(names: frozenset[str]) -> None:
    packed = TenantNames.of([*names, *names])
    assert list(packed) == sorted(names)
    assert len(packed) == len(names)
    assert [packed[position] for position in range(len(packed))] == sorted(names)
    assert packed == TenantNames.ascending(sorted(names))


@given(SETS, st.text(alphabet="aé€", max_size=4))
def test_position_of_a_name_is_its_index_in_sorted_order(names: frozenset[str], name: str) -> None:
    packed = TenantNames.of(names)
    assert (name in packed) == (name in names)
    assert packed.position(name) == (sorted(names).index(name) if name in names else None)


@given(SETS, SETS, SETS)
def test_union_and_without_equal_set_operations(a: frozenset[str], b: frozenset[str], c: frozenset[str]) -> None:
    assert TenantNames.of(a).union(TenantNames.of(b), TenantNames.of(c)) == TenantNames.of(a | b | c)
    assert TenantNames.of(a).without(TenantNames.of(b)) == TenantNames.of(a - b)


@given(st.lists(st.text(alphabet="aé€\uffee\U0001f600", max_size=3), max_size=4))
def test_names_that_are_out_of_order_or_repeated_are_not_ascending(names: list[str]) -> None:
    assert TenantNames.ascending(names).is_ascending == (names == sorted(set(names)))


def test_index_outside_the_set_raises_index_error() -> None:
    names = TenantNames.of(["a", "b"])
    for position in (-1, 2):
        with pytest.raises(IndexError):
            names[position]
