"""Every worker begins with a share of the longest tests."""

from __future__ import annotations

import pytest

from orgrecon_pipeline_tests.support.longest_first import longest_first

TESTS = [*"abcdefgh", "long 9", *"ijk", "long 2", "long 5"]


def length(test: str) -> float:
    return float(test.removeprefix("long ")) if test.startswith("long") else 0.0


def test_each_part_begins_with_its_share_of_the_long_tests() -> None:
    assert longest_first(TESTS, 2, length) == [
        "long 9", "long 2", *"abcde", "long 5", *"fghijk"]


@pytest.mark.parametrize("workers", range(1, 20))
@pytest.mark.parametrize("tests", [TESTS, TESTS[-2:], TESTS[:3], []], ids=len)
def test_every_test_is_kept_once_for_any_number_of_workers(tests: list[str], workers: int) -> None:
    ordered = longest_first(tests, workers, length)
    assert sorted(ordered) == sorted(tests)
    assert [test for test in ordered if not length(test)] == [test for test in tests if not length(test)]
