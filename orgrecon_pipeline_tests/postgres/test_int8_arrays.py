"""Arrays of 64-bit integers are the same on the server and back here."""

from __future__ import annotations

from array import array

import psycopg
import pytest

from orgrecon_pipeline.postgres.int8_arrays import Int8ArrayDumper, concatenate, decode_int8, in_chunks, int8_array

NUMBERS = [0, 1, -1, 255, 256, 2**63 - 1, -(2**63), 0x0102030405060708]


@pytest.mark.parametrize("numbers", [[], [7], NUMBERS], ids=len)
def test_array_survives_a_round_trip_to_the_server(empty_database: str, numbers: list[int]) -> None:
    with psycopg.connect(empty_database) as connection:
        connection.adapters.register_dumper(array, Int8ArrayDumper)
        row = connection.execute(
            "SELECT %(sent)s, pg_typeof(%(sent)s)::text, array_length(%(sent)s, 1), "
            "(SELECT string_agg(int8send(n), '' ORDER BY position) FROM unnest(%(sent)s) "
            "WITH ORDINALITY AS u (n, position))",
            {"sent": int8_array(numbers)}).fetchone()
    assert row is not None
    assert row[:3] == (numbers, "bigint[]", len(numbers) or None)
    assert list(decode_int8(row[3])) == numbers


def test_concatenate_keeps_the_order_of_the_arrays() -> None:
    assert list(concatenate([int8_array([1, 2]), int8_array([]), int8_array([3])])) == [1, 2, 3]
    assert list(concatenate([])) == []


@pytest.mark.parametrize(("count", "expected"), [
    (1, [([4, -1, 3, -4], [0, 1, 2, 3])]), (2, [([4, -4], [0, 3]), ([-1, 3], [1, 2])]),
    (4, [([4, -4], [0, 3]), ([], []), ([], []), ([-1, 3], [1, 2])])])
def test_in_chunks_divides_the_rows_by_the_last_bits_of_the_first_column(
    count: int, expected: list[tuple[list[int], ...]]
) -> None:
    columns = [int8_array([4, -1, 3, -4]), int8_array(range(4))]
    assert [tuple(map(list, chunk)) for chunk in in_chunks(columns, count)] == expected
