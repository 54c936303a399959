"""SQL aggregates that sum the row hashes of a tenant."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import LiteralString


@dataclass(frozen=True)
class HashSum:
    """How the row hashes of a tenant are summed, and the two bigints that transfer the sum.

    The sum is ``high * base + low``, plus ``offset`` for each row.
    """

    aggregates: LiteralString
    high: LiteralString
    low: LiteralString
    base: int
    offset: int = 0


#: One numeric sum.
NUMERIC_SUM = HashSum(
    "sum(row_hash) AS fingerprint",
    "div(fingerprint, 4611686018427387904)::bigint", "mod(fingerprint, 4611686018427387904)::bigint", base=2**62)
#: Sums of the upper and of the lower halves. A sum of integers is a bigint: slightly more work per row, but much less
#: per group.
BIGINT_SUMS = HashSum(
    "sum((row_hash >> 32)::integer) AS high, sum(((row_hash & 4294967295) - 2147483648)::integer) AS low",
    "high", "low", base=2**32, offset=2**31)
