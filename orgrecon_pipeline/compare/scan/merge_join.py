"""Merge join of two sorted streams of rows, which holds one row of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.domain.tenant_names import TenantNames

#: Row of a stream that is sorted by its first columns and unique in them.
Row = tuple[Any, ...]
#: Values of these columns, and the row of each side, None if a side has none.
Pair = tuple[Row, "Row | None", "Row | None"]


def merge_join(source: Iterator[Row], target: Iterator[Row], width: int) -> Iterator[Pair]:
    """Yield the rows of both streams, matched by their first ``width`` columns, in which they must ascend."""
    left, right = _ascending(source, width), _ascending(target, width)
    source_row, target_row = next(left, None), next(right, None)
    while source_row is not None or target_row is not None:
        if target_row is None or (source_row is not None and source_row[0] < target_row[0]):
            assert source_row is not None  # noqa: S101 - for the type checker
            yield source_row[0], source_row[1], None
            source_row = next(left, None)
        elif source_row is None or target_row[0] < source_row[0]:
            yield target_row[0], None, target_row[1]
            target_row = next(right, None)
        else:
            yield source_row[0], source_row[1], target_row[1]
            source_row, target_row = next(left, None), next(right, None)


def _ascending(rows: Iterator[Row], width: int) -> Iterator[tuple[Row, Row]]:
    last = None
    for row in rows:
        key = row[:width]
        if last is not None and not last < key:
            raise out_of_order()
        last = key
        yield key, row


def names_from_server(packed: bytes) -> TenantNames:
    """Return the names that a server sent, each followed by a NUL; raise CannotDecide if they are not ascending."""
    names = TenantNames(packed)
    if not names.is_ascending:
        raise out_of_order()
    return names


def out_of_order() -> CannotDecide:
    """Return the error for a stream that is not sorted."""
    return CannotDecide("a database returned rows in another order than requested: do not trust this server",
                        ReasonCode.UNSORTED_ROWS)
