"""Order of tests for several workers, of which each is given a contiguous part at the beginning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Test = TypeVar("Test")


def longest_first(tests: Sequence[Test], workers: int, length: Callable[[Test], float]) -> list[Test]:
    """Return the tests in an order in which each of the equal parts begins with a share of the long ones.

    The other tests keep their order, because tests of one module share what they set up.

    Args:
        tests: the tests in their usual order.
        workers: number of parts, which pytest-xdist makes and gives to the workers.
        length: about how long a test takes; 0 if it is not long.
    """
    long = sorted((test for test in tests if length(test)), key=length, reverse=True)
    others = iter([test for test in tests if not length(test)])
    ordered: list[Test] = []
    for worker in range(workers):
        share = long[worker::workers]
        size = (len(tests) - len(ordered)) // (workers - worker)
        ordered += share
        ordered += [test for _, test in zip(range(size - len(share)), others, strict=False)]
    return [*ordered, *others]
