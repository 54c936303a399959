"""Many numbers in one value, to the server and back."""

from __future__ import annotations

from array import array

import psycopg
import pytest

from orgrecon_pipeline.postgres.int8_arrays import Int8ArrayDumper, decode_int8

NUMBERS = [0, 1, -1, 255, 256, 2**63 - 1, -(2**63), 0x0102030405060708]


@pytest.mark.parametrize("numbers", [[], [7], NUMBERS], ids=len)
def test_an_array_is_what_the_server_reads(empty_database: str, numbers: list[int]) -> None:
    with psycopg.connect(empty_database) as connection:
        connection.adapters.register_dumper(array, Int8ArrayDumper)
        row = connection.execute(
            "SELECT %(sent)s, pg_typeof(%(sent)s)::text, array_length(%(sent)s, 1), "
            "(SELECT string_agg(int8send(n), '' ORDER BY place) FROM unnest(%(sent)s) WITH ORDINALITY AS u (n, place))",
            {"sent": int8_array(numbers)}).fetchone()
    assert row is not None
    assert row[:3] == (numbers, "bigint[]", len(numbers) or None)
    assert list(decode_int8(row[3])) == numbers


def test_arrays_together() -> None:
    assert list(concatenate([int8_array([1, 2]), int8_array([]), int8_array([3])])) == [1, 2, 3]
    assert list(concatenate([])) == []
