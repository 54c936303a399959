"""Arrays of 64-bit integers in binary form, as the server sends and receives them.

As rows, or as array values in text form, a million integers would take several times the memory.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from struct import Struct

from psycopg.adapt import Dumper
from psycopg.postgres import types
from psycopg.pq import Format

_BIGINT = "q"
# Binary array: dimensions, whether it has NULLs, element type, length, lower bound; then each element after its size.
_HEADER = Struct(">5i")
_ELEMENT_SIZE = (8).to_bytes(4, "big")


def int8_array(numbers: Iterable[int]) -> array[int]:
    """Return an array of 64-bit integers."""
    return array(_BIGINT, numbers)


def concatenate(arrays: Iterable[array[int]]) -> array[int]:
    """Return the numbers of all arrays in one."""
    numbers = int8_array(())
    for part in arrays:
        numbers.extend(part)
    return numbers


def in_chunks(columns: Sequence[array[int]], count: int) -> Iterator[Sequence[array[int]]]:
    """Yield the rows of some columns by the last bits of the first column, in ``count`` chunks, a power of two."""
    if count == 1:
        yield columns
        return
    positions = [int8_array(()) for _ in range(count)]
    for position, number in enumerate(columns[0]):
        positions[number & (count - 1)].append(position)
    for chunk in positions:
        yield [int8_array(map(column.__getitem__, chunk)) for column in columns]


def decode_int8(encoded: bytes | bytearray | None) -> array[int]:
    """Return the numbers of ``string_agg(int8send(…), '')``: eight bytes each, most significant byte first."""
    return _swapped_to_big_endian(array(_BIGINT, encoded or b""))


class Int8ArrayDumper(Dumper):
    """Sends an array of 64-bit integers as a binary ``bigint[]``, at twelve bytes per number."""

    format = Format.BINARY
    oid = types["int8"].array_oid

    def dump(self, obj: array[int]) -> bytearray:
        numbers, element = _swapped_to_big_endian(obj).tobytes(), _ELEMENT_SIZE + bytes(obj.itemsize)
        encoded = bytearray(_HEADER.pack(1, 0, types["int8"].oid, len(obj), 1) + element * len(obj))
        for byte in range(obj.itemsize):
            encoded[_HEADER.size + len(_ELEMENT_SIZE) + byte :: len(element)] = numbers[byte :: obj.itemsize]
        return encoded


def _swapped_to_big_endian(numbers: array[int]) -> array[int]:
    """Return a copy in big-endian order. Applied to such a copy, return the machine's order."""
    ordered = array(_BIGINT, numbers)
    if sys.byteorder == "little":
        ordered.byteswap()
    return ordered
