"""Portions in which the rows of one side are read as hashes, so that neither the server nor this process holds all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orgrecon_pipeline.compare.keys.buckets import power_of_two
from orgrecon_pipeline.compare.scan.side_scan import SCAN_SETTINGS
from orgrecon_pipeline.postgres.session import CHUNK_ROWS as FETCHED_ROWS

#: Rows of both sides per statement. A server holds their hashes, 16 bytes per row and up to twice that.
SLICE_ROWS = 10_000_000
#: Rows of a tenant that this process holds at a time.
CHUNK_ROWS = 2**14
# Rows of all tenants that it fetches at a time.
_FETCH_ROWS = 2**18
#: Planner settings to read keys. A hash aggregate holds the hashes of all rows; sorting them takes three times as long.
BY_HASH = {"enable_sort": "off"}
# Rows of both sides. With fewer, the planner chooses: a hash aggregate takes a kilobyte for each tenant.
_SMALL_TENANT = 100


def chunk_count(rows: int) -> int:
    """Return the number of chunks for so many rows of a tenant, a power of two."""
    return power_of_two(rows // CHUNK_ROWS)


@dataclass(frozen=True)
class Portions:
    """How the statement ``side_keys`` divides the rows of some tenants.

    Attributes:
        slices: number of statements. The key hash decides to which one a row belongs.
        chunks: number of strings per tenant, a multiple of ``slices``.
        fetch: number of strings to fetch at a time.
        settings: planner settings for the statements.
    """

    slices: int
    chunks: int
    fetch: int
    settings: dict[str, str]

    @classmethod
    def of(cls, tenants: int, rows: int, largest_tenant: int, *, large: bool) -> Portions:
        """Return the portions of some tenants.

        Args:
            tenants: the number of tenants.
            rows: the approximate number of their rows on both sides.
            largest_tenant: the approximate number of rows of the largest of them on one side.
            large: whether to prefer scans to indexes.
        """
        slices = power_of_two(rows // SLICE_ROWS)
        return cls(
            slices, max(slices, chunk_count(largest_tenant)),
            min(FETCHED_ROWS, _FETCH_ROWS // max(1, min(largest_tenant, CHUNK_ROWS))),
            (BY_HASH if rows > _SMALL_TENANT * tenants else {}) | (SCAN_SETTINGS if large else {}))

    def parameters(self) -> Iterator[dict[str, int]]:
        """Yield the parameters of each statement."""
        for number in range(self.slices):
            yield {"chunk_mask": self.chunks - 1, "slice_mask": self.slices - 1, "slice": number}
