"""Arrays of 64-bit integers in binary form, as the server sends and receives them.

As rows, or as array values in text form, a million integers would take several times the memory.
"""

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
# Binary array: dimensions, whether it has NULLs, element type, length, lower bound; then each element after its size.
_HEADER = Struct(">5i")
_ELEMENT_SIZE = _BIG_ENDIAN.size.to_bytes(4, "big")


def int8_array(numbers: Iterable[int]) -> array[int]:
    """Return an array of 64-bit integers."""
    return array(_BIGINT, numbers)


def concatenate(arrays: Iterable[array[int]]) -> array[int]:
    """Return the numbers of all arrays in one."""
    numbers = int8_array(())
    for part in arrays:
        numbers.extend(part)
    return numbers


def decode_int8(encoded: bytes | None) -> array[int]:
    """Return the numbers of ``string_agg(int8send(…), '')``: eight bytes each, most significant byte first."""
    return array(_BIGINT, _swapped_to_big_endian(array(_BIGINT, encoded or b"")))


class EncodedInt8Array(Sequence[int]):
    """Read-only sequence over the bytes of ``string_agg(int8send(…), '')``.

    Two of them are compared as bytes, without a copy.
    """

    def __init__(self, encoded: bytes | bytearray) -> None:
        self._encoded = encoded

    def __len__(self) -> int:
        return len(self._encoded) // _BIG_ENDIAN.size

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return _BIG_ENDIAN.unpack_from(self._encoded, index * _BIG_ENDIAN.size)[0]

    def __iter__(self) -> Iterator[int]:
        return (number for (number,) in _BIG_ENDIAN.iter_unpack(self._encoded))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EncodedInt8Array) and self._encoded == other._encoded

    __hash__ = None  # type: ignore[assignment]


class Int8ArrayDumper(Dumper):
    """Sends an array of 64-bit integers as a binary ``bigint[]``, at twelve bytes per number."""

    format = Format.BINARY
    oid = types["int8"].array_oid

    def dump(self, obj: array[int]) -> bytearray:
        numbers, element = _swapped_to_big_endian(obj), _ELEMENT_SIZE + bytes(obj.itemsize)
        encoded = bytearray(_HEADER.pack(1, 0, types["int8"].oid, len(obj), 1) + element * len(obj))
        for byte in range(obj.itemsize):
            encoded[_HEADER.size + len(_ELEMENT_SIZE) + byte :: len(element)] = numbers[byte :: obj.itemsize]
        return encoded


def _swapped_to_big_endian(numbers: array[int]) -> bytes:
    """Return the bytes of the numbers in big-endian order. Applied to such bytes, return the machine's order."""
    ordered = array(_BIGINT, numbers)
    if sys.byteorder == "little":
        ordered.byteswap()
    return ordered.tobytes()
