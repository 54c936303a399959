"""Many numbers from the server in one value: as a row each, or as an array, they would take several times the room."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import Any

_BIGINT = "q"
_BIG_ENDIAN = Struct(">q")


def bigints(packed: bytes | None) -> array[int]:
    """Numbers that the server packed with ``string_agg(int8send(…), '')``: eight bytes each, the highest first."""
    numbers = array(_BIGINT, packed or b"")
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


class Bigints(Sequence[int]):
    """Such numbers as they came, read one by one: what is only compared as a whole needs no copy."""

    def __init__(self, packed: bytes | bytearray) -> None:
        self._packed = packed

    def __len__(self) -> int:
        return len(self._packed) // _BIG_ENDIAN.size

    def __getitem__(self, place: Any) -> Any:  # of a slice too, as every sequence
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        return _BIG_ENDIAN.unpack_from(self._packed, place * _BIG_ENDIAN.size)[0]

    def __iter__(self) -> Iterator[int]:
        return (number for (number,) in _BIG_ENDIAN.iter_unpack(self._packed))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bigints) and self._packed == other._packed

    __hash__ = None  # type: ignore[assignment]


def packed(numbers: Iterable[int]) -> array[int]:
    """Numbers of 64 bits."""
    return array(_BIGINT, numbers)
