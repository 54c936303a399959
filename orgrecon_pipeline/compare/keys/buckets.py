"""Buckets of keys: of many rows with few drifting keys, only buckets that differ are read key by key."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isqrt

from orgrecon_pipeline.compare.keys.tracked_keys import STATE_MODULUS, TrackedKeys
from orgrecon_pipeline.compare.scan.fingerprints import Fingerprints, SideRows
from orgrecon_pipeline.compare.scan.merge_join import Row, merge_join

# Joining so few rows takes about a second, as long as the scan of the buckets would.
_FEW_ROWS = 100_000
# The sums of all buckets must fit the work_mem of a session.
_MAX_BUCKETS = 2**18
# With a drifting key in every fourth bucket, buckets would save little.
_MIN_BUCKETS_PER_KEY = 4


def choose_bucket_count(differing: Collection[SideRows], few_rows: int = _FEW_ROWS) -> int:
    """Return the number of buckets for the keys of differing tenants, a power of two; 0 to read all keys.

    All keys are read if there are fewer than ``few_rows``, or if most buckets would differ.

    With n rows, d drifting keys and b buckets, about d·n/b rows must be read key by key. The sum of that and of b is
    smallest for b = √(d·n). A tenant has at least one drifting key, and at least as many as one side has more rows.
    """
    drifting = sum(max(1, abs(rows.source - rows.target)) for rows in differing)
    total = sum(max(rows.source, rows.target) for rows in differing)
    count = power_of_two(min(_MAX_BUCKETS, isqrt(drifting * total)))
    return count if total >= few_rows and count >= _MIN_BUCKETS_PER_KEY * drifting else 0


def power_of_two(number: int) -> int:
    """Return the largest power of two up to a number; 1 for numbers below."""
    return 1 << (number.bit_length() - 1) if number > 0 else 1


@dataclass(frozen=True)
class Buckets:
    """Set of buckets, as a bit string in the order of ``get_bit``. ``count`` is a power of two."""

    count: int
    chosen: bytes = field(repr=False)

    @classmethod
    def differing(cls, count: int, source: Iterator[Row], target: Iterator[Row]) -> Buckets:
        """Return the buckets that differ between two streams of ``side_buckets.sql``."""
        return cls.of(count, (bucket for (bucket,), source_row, target_row in merge_join(source, target, 1)
                              if source_row != target_row))

    @classmethod
    def of(cls, count: int, hashes: Iterable[int]) -> Buckets:
        """Return the buckets, of ``count``, that contain the given key hashes. A bucket contains its own number."""
        mask, one = count - 1, ord("1")
        digits = bytearray(b"0") * count
        for number in hashes:
            digits[number & mask] = one
        return cls(count, int(digits[::-1], 2).to_bytes((count + 7) // 8, "little"))

    @property
    def share(self) -> float:
        """The part of all buckets that is in the set."""
        return int.from_bytes(self.chosen, "big").bit_count() / self.count

    def parameters(self) -> dict[str, object]:
        """Return the parameters of statements that select these buckets."""
        return {"mask": self.count - 1, "buckets": self.chosen}


def explains_fingerprints(drift: Mapping[str, TrackedKeys], fingerprints: Fingerprints) -> bool:
    """Return whether the drifting keys of every differing tenant add up to the balance of its fingerprints."""
    return all(
        tenant in drift
        and (sum(drift[tenant].source_states) - sum(drift[tenant].target_states) - balance) % STATE_MODULUS == 0
        for tenant, balance in fingerprints.balances.items())
