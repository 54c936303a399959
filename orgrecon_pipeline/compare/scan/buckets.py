"""Two databases, many rows, few drifting keys: which part of the keys has to be streamed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isqrt

from orgrecon_pipeline.compare.keys.merge_join import Row, pairs
from orgrecon_pipeline.compare.keys.tracked_keys import STATES, TrackedKeys
from orgrecon_pipeline.compare.scan.fingerprints import Fingerprints

# So many keys are streamed in a second or so, which another pass would take as well.
_FEW_ROWS = 100_000
# Their sums have to fit into the room that a session has for many tenants.
_MOST = 2**18
# With a drifting key in every fourth bucket or more, little would be left out.
_SPARSE = 4


def buckets_for(prints: Fingerprints) -> int:
    """Into how many buckets the keys of the differing tenants are best put, a power of two; 0 when they are best read
    as they are.

    A bucket is read key by key as soon as one of its keys drifts, and each tenant has one at least, or as many as one
    side has rows more. Of n rows in b buckets, d drifting keys leave about d·n/b to be read: that and b are least
    together where b is √(d·n).
    """
    drifting = sum(max(1, abs(both.source - both.target)) for both in prints.differing.values())
    rows = sum(max(both.source, both.target) for both in prints.differing.values())
    count = 1 << (min(_MOST, isqrt(drifting * rows)).bit_length() - 1) if rows else 0
    return count if rows >= _FEW_ROWS and count >= _SPARSE * drifting else 0


@dataclass(frozen=True)
class Buckets:
    """Some of ``count`` buckets (a power of two), as a bit each in the order of ``get_bit``."""

    count: int
    chosen: bytes = field(repr=False)

    @classmethod
    def apart(cls, count: int, source: Iterator[Row], target: Iterator[Row]) -> Buckets:
        """Those that differ in two streams of ``side_buckets.sql``."""
        chosen = bytearray((count + 7) // 8)
        for (bucket,), one, other in pairs(source, target, 1):
            if one != other:
                chosen[bucket // 8] |= 1 << bucket % 8
        return cls(count, bytes(chosen))

    def parameters(self) -> dict[str, object]:
        """What ``side_keys.sql`` needs of them."""
        return {"mask": self.count - 1, "buckets": self.chosen}


def accounts_for(found: Mapping[str, TrackedKeys], prints: Fingerprints) -> bool:
    """Whether the drifting keys of every differing tenant make up the balance of its fingerprints."""
    return all(
        tenant in found
        and (sum(found[tenant].source_states) - sum(found[tenant].target_states) - balance) % STATES == 0
        for tenant, balance in prints.balances.items()
    )
