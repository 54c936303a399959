"""A compact sorted set of tenant names, for up to a million tenants."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from heapq import merge
from itertools import chain, groupby, pairwise, starmap
from operator import itemgetter, lt, sub
from re import finditer

_END = b"\0"


@dataclass(frozen=True, repr=False)
class TenantNames:
    """A set of names, sorted by code point (which is also the order of their bytes in UTF-8).

    ``packed`` holds the names in UTF-8. Each ends with a NUL, which no text of PostgreSQL contains. Equal sets have
    equal bytes, so that comparing two of them is fast.
    """

    packed: bytes = b""

    @classmethod
    def of(cls, names: Iterable[str]) -> TenantNames:
        """Return the set of the names, which can be in any order and repeat."""
        return cls.ascending(sorted(set(names)))

    @classmethod
    def ascending(cls, names: Iterable[str]) -> TenantNames:
        """Return the set of names that are already sorted and unique. They are consumed as a stream."""
        packed = bytearray()
        for name in names:
            packed += name.encode("utf-8", "surrogatepass") + _END
        return cls(bytes(packed))

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[str]:
        start = 0
        for end in self._ends:
            yield self.packed[start:end].decode("utf-8", "surrogatepass")
            start = end + 1

    def __getitem__(self, position: int) -> str:
        if not 0 <= position < len(self._ends):
            raise IndexError(position)
        start = self._ends[position - 1] + 1 if position else 0
        return self.packed[start : self._ends[position]].decode("utf-8", "surrogatepass")

    def __contains__(self, name: str) -> bool:
        return self.position(name) is not None

    def __repr__(self) -> str:
        return f"TenantNames({len(self)})"

    @property
    def is_ascending(self) -> bool:
        """Whether the names are in strictly ascending order, which bytes from elsewhere may not be."""
        # Each name includes its final NUL, which sorts before every other byte, so a prefix sorts before longer names.
        names = map(itemgetter(0), finditer(rb"[^\0]*\0", self.packed))
        return all(starmap(lt, pairwise(names)))

    @property
    def longest(self) -> int:
        """Length of the longest name in bytes."""
        return max(map(sub, self._ends, chain((-1,), self._ends)), default=1) - 1

    @cached_property
    def _ends(self) -> array[int]:
        return array("q", (match.start() for match in finditer(_END, self.packed)))

    def position(self, name: str) -> int | None:
        """Return the number of names before this one, None if it is not in the set."""
        position = bisect_left(self, name)
        return position if position < len(self) and self[position] == name else None

    def union(self, *others: TenantNames) -> TenantNames:
        """Return the names of this set and of all others."""
        different = [other for other in others if other and other != self]
        if not different:
            return self
        if not self:
            return different[0].union(*different[1:])
        return TenantNames.ascending(name for name, _ in groupby(merge(self, *different)))

    def without(self, other: TenantNames) -> TenantNames:
        """Return the names that the other set does not have."""
        return TenantNames() if self == other else TenantNames.ascending(self._without(other))

    def _without(self, other: TenantNames) -> Iterator[str]:
        excluded = iter(other)
        next_excluded = next(excluded, None)
        for name in self:
            while next_excluded is not None and next_excluded < name:
                next_excluded = next(excluded, None)
            if name != next_excluded:
                yield name
