"""Many numbers from the server in one value: as a row each, or as an array, they would take several times the room."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import Any

from psycopg.adapt import Dumper
from psycopg.postgres import types
from psycopg.pq import Format

_BIGINT = "q"
_BIG_ENDIAN = Struct(">q")
# An array as the server takes it begins with its dimensions, whether it has NULLs, the type and number of its elements,
# and from where it counts; then comes each element behind its length.
_HEADER = Struct(">5i")
_LENGTH = _BIG_ENDIAN.size.to_bytes(4, "big")


def unpack_int8(packed: bytes | None) -> array[int]:
    """Numbers that the server packed with ``string_agg(int8send(…), '')``: eight bytes each, the highest first."""
    return array(_BIGINT, _big_endian(array(_BIGINT, packed or b"")))


class Int8Array(Sequence[int]):
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
        return isinstance(other, Int8Array) and self._packed == other._packed

    __hash__ = None  # type: ignore[assignment]


class Int8ArrayDumper(Dumper):
    """Sends an array of 64-bit numbers as a ``bigint[]``, at twelve bytes a number and not as a text of each."""

    format = Format.BINARY
    oid = types["int8"].array_oid

    def dump(self, obj: array[int]) -> bytearray:
        numbers, element = _big_endian(obj), _LENGTH + bytes(obj.itemsize)
        sent = bytearray(_HEADER.pack(1, 0, types["int8"].oid, len(obj), 1) + element * len(obj))
        for byte in range(obj.itemsize):
            sent[_HEADER.size + len(_LENGTH) + byte :: len(element)] = numbers[byte :: obj.itemsize]
        return sent


def packed(numbers: Iterable[int]) -> array[int]:
    """Numbers of 64 bits."""
    return array(_BIGINT, numbers)


def together(arrays: Iterable[array[int]]) -> array[int]:
    """The numbers of all, one array behind the other."""
    numbers = packed(())
    for each in arrays:
        numbers.extend(each)
    return numbers


def _big_endian(numbers: array[int]) -> bytes:
    """The numbers' bytes, the highest first; of such bytes, the machine's own order."""
    ordered = array(_BIGINT, numbers)
    if sys.byteorder == "little":
        ordered.byteswap()
    return ordered.tobytes()
