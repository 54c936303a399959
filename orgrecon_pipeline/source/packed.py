"""Many numbers from the server in one value: as a row each, or as an array, they would take several times the room."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from itertools import accumulate

from orgrecon_pipeline.domain.names import Names

_BIGINT = "q"


def bigints(packed: bytes | None) -> array[int]:
    """Numbers that the server packed with ``string_agg(int8send(…), '')``: eight bytes each, the highest first."""
    numbers = array(_BIGINT, packed or b"")
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


def packed(numbers: Iterable[int]) -> array[int]:
    """Numbers of 64 bits."""
    return array(_BIGINT, numbers)


def unpacked_names(names: bytes | None, lengths: bytes | None) -> Names:
    """Names in UTF-8, in the order of their bytes, that the server packed like their lengths."""
    return Names(names or b"", packed(accumulate(bigints(lengths))))
